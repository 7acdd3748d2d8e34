//! realtime-tower

mod ws;
