//! Who may call.

use axum::extract::State;
use serde_json::{Value, json};

use super::PortOne;
use super::call::Call;
use super::ids::token;
use super::input::{LoginInput, RefreshInput};
use super::refusal::Refusal;
use super::reply::Answer;
use super::state::{Change, Login, State as Known};

impl PortOne {
    /// `PortOne <secret>`, or `Bearer <access token>`.
    pub(crate) fn authorize(&self, call: &Call) -> Result<(), Refusal> {
        let granted = match call.authorization().split_once(' ') {
            Some(("PortOne", secret)) => secret == self.0.api_secret,
            Some(("Bearer", token)) => self.lock().is_access_token(token, self.now()),
            _ => false,
        };
        if granted { Ok(()) } else { Err(Refusal::new("UNAUTHORIZED", "the credentials are missing or wrong")) }
    }

    /// There is only one store.
    pub(crate) fn check_store(&self, store_id: Option<&str>) -> Result<(), Refusal> {
        if store_id.is_none_or(|id| id == self.store().id) {
            Ok(())
        } else {
            Err(Refusal::new("FORBIDDEN", "the secret does not reach this store"))
        }
    }

    /// A new pair of tokens. The refresh token before it is worth nothing from now on.
    fn log_in(&self, state: &mut Known) -> Result<Value, Refusal> {
        let nth = state.logins.to_string();
        let login = Login {
            access: token(&self.0.api_secret, &["access", &nth]),
            refresh: token(&self.0.api_secret, &["refresh", &nth]),
            at: self.now(),
        };
        let answer = json!({"accessToken": login.access, "refreshToken": login.refresh});
        self.commit(state, vec![Change::Login(login)])?;
        Ok(answer)
    }
}

/// `POST /login/api-secret`
pub(crate) async fn login(State(portone): State<PortOne>, call: Call) -> Answer {
    let log_in = || {
        let LoginInput { api_secret } = call.body()?;
        if api_secret != portone.0.api_secret {
            return Err(Refusal::new("UNAUTHORIZED", "the API secret is wrong"));
        }
        portone.log_in(&mut portone.lock())
    };
    log_in().into()
}

/// `POST /token/refresh`
pub(crate) async fn refresh(State(portone): State<PortOne>, call: Call) -> Answer {
    let log_in = || {
        let RefreshInput { refresh_token } = call.body()?;
        let mut state = portone.lock();
        if !state.is_refresh_token(&refresh_token, portone.now()) {
            return Err(Refusal::new("UNAUTHORIZED", "the refresh token is wrong, old, or replaced"));
        }
        portone.log_in(&mut state)
    };
    log_in().into()
}
