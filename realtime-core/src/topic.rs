//! Names of sub-streams, and sets of them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{EventError, EventErrorKind};
use crate::limits::{NAME_BYTES_MAX, TOPICS_PER_READER_MAX};

/// The name of a sub-stream: 1 to [`NAME_BYTES_MAX`] bytes of printable UTF-8. Cloning shares it.
///
/// Topics are exact: `room/*` is a topic named so and matches nothing else. To read a family of topics, say
/// [`TopicSet::prefix`].
///
/// ```
/// use realtime_core::Topic;
///
/// let topic = Topic::new("room/7")?;
/// assert_eq!(topic.as_str(), "room/7");
/// assert!(Topic::new("two\nlines").is_err());
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// A topic of this name.
    ///
    /// # Errors
    /// The name is empty, longer than [`NAME_BYTES_MAX`] bytes, or not printable.
    pub fn new(name: impl AsRef<str>) -> Result<Self, EventError> {
        let name = name.as_ref();
        printable(name)?;
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", &self.0)
    }
}

impl std::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Topic {
    type Err = EventError;

    fn from_str(name: &str) -> Result<Self, EventError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Topic {
    type Error = EventError;

    fn try_from(name: &str) -> Result<Self, EventError> {
        Self::new(name)
    }
}

impl TryFrom<String> for Topic {
    type Error = EventError;

    fn try_from(name: String) -> Result<Self, EventError> {
        Self::new(name)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(name).map_err(de::Error::custom)
    }
}

/// Which topics a reader reads.
///
/// A set says nothing of other topics: a cursor covers what was read with it. A topic added later is read from
/// the cursor on; one that is left out and taken in again forfeits what passed meanwhile.
///
/// ```
/// use realtime_core::{Topic, TopicSet};
///
/// let rooms = TopicSet::prefix("room/")?;
/// assert!(rooms.contains(Some(&Topic::new("room/7")?)));
/// assert!(!rooms.contains(Some(&Topic::new("lobby")?)));
/// assert!(TopicSet::all().contains(None));
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicSet(pub(crate) Set);

/// The forms of a set; exact topics are sorted and distinct, `None` among them being events without a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    All,
    Exact(Arc<[Option<Topic>]>),
    Prefix(Arc<str>),
}

impl TopicSet {
    /// Every topic, and events without one.
    pub const fn all() -> Self {
        Self(Set::All)
    }

    /// One topic.
    pub fn one(topic: Topic) -> Self {
        Self(Set::Exact(Arc::new([Some(topic)])))
    }

    /// Only the events that have no topic.
    pub fn unnamed() -> Self {
        Self(Set::Exact(Arc::new([None])))
    }

    /// These topics; naming one twice is naming it once.
    ///
    /// # Errors
    /// More than [`TOPICS_PER_READER_MAX`] of them (`TooLong`), or none (`Empty`).
    pub fn of(topics: impl IntoIterator<Item = Topic>) -> Result<Self, EventError> {
        let mut named: Vec<_> = topics.into_iter().take(TOPICS_PER_READER_MAX + 1).map(Some).collect();
        if named.len() > TOPICS_PER_READER_MAX {
            return Err(EventErrorKind::TooLong.into());
        }
        if named.is_empty() {
            return Err(EventErrorKind::Empty.into());
        }
        named.sort();
        named.dedup();
        Ok(Self(Set::Exact(named.into())))
    }

    /// Every topic whose name begins so. It is a type of its own and never read from a topic's text, so that a
    /// client which names a topic cannot name a family.
    ///
    /// # Errors
    /// The prefix is empty (say [`all`](Self::all)), too long, or not printable.
    pub fn prefix(prefix: impl AsRef<str>) -> Result<Self, EventError> {
        printable(prefix.as_ref())?;
        Ok(Self(Set::Prefix(prefix.as_ref().into())))
    }

    /// Whether an event of this topic belongs to it.
    pub fn contains(&self, topic: Option<&Topic>) -> bool {
        match &self.0 {
            Set::All => true,
            Set::Exact(named) => named.iter().any(|t| t.as_ref() == topic),
            Set::Prefix(prefix) => topic.is_some_and(|t| t.as_str().starts_with(&**prefix)),
        }
    }
}

impl From<Topic> for TopicSet {
    fn from(topic: Topic) -> Self {
        Self::one(topic)
    }
}

/// Checks what every name must be, for topics, keys and event names alike.
///
/// Control characters break lines of a wire and of a log file; the others reorder or hide what a person reads.
pub(crate) fn printable(name: &str) -> Result<(), EventErrorKind> {
    if name.is_empty() {
        return Err(EventErrorKind::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(EventErrorKind::TooLong);
    }
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if name.chars().any(hidden) { Err(EventErrorKind::Unprintable) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bounded_and_printable() {
        assert!(Topic::new("a".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(Topic::new("Straße/7 ü").is_ok());
        let cases = [
            (String::new(), EventErrorKind::Empty),
            ("a".repeat(NAME_BYTES_MAX + 1), EventErrorKind::TooLong),
            ("a\rb".into(), EventErrorKind::Unprintable),
            ("a\0b".into(), EventErrorKind::Unprintable),
            ("a\u{85}b".into(), EventErrorKind::Unprintable),
            ("a\u{202e}b".into(), EventErrorKind::Unprintable),
            ("a\u{61c}b".into(), EventErrorKind::Unprintable),
            ("a\u{180e}b".into(), EventErrorKind::Unprintable),
        ];
        for (name, kind) in cases {
            assert_eq!(Topic::new(&name).unwrap_err().kind(), kind, "{name:?}");
        }
    }

    #[test]
    fn a_topic_is_its_name_however_it_is_read_and_written() {
        let topic = Topic::new("room/7").unwrap();
        assert_eq!((topic.as_str(), &*topic.to_string()), ("room/7", "room/7"));
        assert_eq!(format!("{topic:?}"), r#"Topic("room/7")"#);
        assert_eq!(serde_json::to_string(&topic).unwrap(), r#""room/7""#);
        let by_name = std::collections::HashMap::from([(topic.clone(), 7)]);
        assert_eq!((by_name.get("room/7"), by_name.get("")), (Some(&7), None));
        let reads: [fn(&str) -> Option<Topic>; 4] = [
            |name| name.parse().ok(),
            |name| Topic::try_from(name).ok(),
            |name| Topic::try_from(name.to_owned()).ok(),
            |name| serde_json::from_value(name.into()).ok(),
        ];
        for read in reads {
            assert_eq!((read("room/7"), read(""), read("a\nb")), (Some(topic.clone()), None, None));
        }
    }

    #[test]
    fn a_set_holds_what_it_names_and_nothing_else() {
        let [one, two] = ["room/1", "room/2"].map(|name| Topic::new(name).unwrap());
        for (set, holds) in [
            (TopicSet::all(), [true, true, true]),
            (TopicSet::one(one.clone()), [true, false, false]),
            (one.clone().into(), [true, false, false]),
            (TopicSet::of([two.clone()]).unwrap(), [false, true, false]),
            (TopicSet::prefix("room/").unwrap(), [true, true, false]),
            (TopicSet::prefix("room/1").unwrap(), [true, false, false]),
            (TopicSet::unnamed(), [false, false, true]),
        ] {
            assert_eq!([Some(&one), Some(&two), None].map(|topic| set.contains(topic)), holds, "{set:?}");
        }
        assert!(TopicSet::prefix("").is_err() && TopicSet::prefix("a\n").is_err());
    }

    #[test]
    fn a_star_is_no_prefix() {
        let star = TopicSet::one(Topic::new("*").unwrap());
        assert!(!star.contains(Some(&Topic::new("room/1").unwrap())));
    }

    #[test]
    fn a_set_is_bounded_and_distinct() {
        let topics = |n: usize| (0..n).map(|i| Topic::new(format!("t{}", i / 2)).unwrap());
        let Set::Exact(named) = TopicSet::of(topics(6)).unwrap().0 else { panic!("exact") };
        assert_eq!(named.len(), 3);
        assert!(TopicSet::of(topics(TOPICS_PER_READER_MAX)).is_ok());
        assert!(TopicSet::of(topics(TOPICS_PER_READER_MAX + 1)).is_err());
        assert!(TopicSet::of(topics(0)).is_err());
    }
}
