//! λ the customer's side: what their own backend asks for (`/api/…`), and the pages a browser sees (`/payment/billing/…`).

pub mod pages;
pub mod token;
