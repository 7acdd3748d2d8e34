use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Who is behind a token, be it a cookie's or a header's: what stands for your session store. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Tokens<T>(Arc<RwLock<HashMap<String, T>>>);

impl<T: Clone> Tokens<T> {
    /// Gives out a token that nobody guesses.
    ///
    /// # Errors
    /// The operating system has no randomness.
    pub fn issue(&self, who: T) -> Result<String, getrandom::Error> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let token = format!("{:032x}", u128::from_ne_bytes(secret));
        self.admit(token.clone(), who);
        Ok(token)
    }

    /// Takes a token that was agreed on elsewhere.
    pub fn admit(&self, token: String, who: T) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token, who);
    }

    /// Who came with it.
    pub fn who(&self, token: &str) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}

impl<T> Default for Tokens<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
