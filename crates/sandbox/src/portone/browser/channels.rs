//! The channels that windows can be opened on.

use super::super::entities::{Channel, Method};

/// (channel key, gateway, how it pays). KG Inicis and NHN KCP have rules of their own for the window; Toss Payments is the one to begin with.
const CHANNELS: [(&str, &str, Method); 4] = [
    ("channel-key-sandbox-card", "TOSSPAYMENTS", Method::Card),
    ("channel-key-sandbox-card-inicis", "INICIS_V2", Method::Card),
    ("channel-key-sandbox-card-kcp", "KCP_V2", Method::Card),
    ("channel-key-sandbox-paypal", "PAYPAL_V2", Method::Paypal),
];

/// The channel of a key, and how it pays.
pub(crate) fn find(key: &str) -> Option<(Channel, Method)> {
    let found = CHANNELS.iter().find(|(known, ..)| *known == key);
    found.map(|(key, provider, method)| {
        (Channel { key: (*key).to_owned(), pg_provider: (*provider).to_owned() }, *method)
    })
}
