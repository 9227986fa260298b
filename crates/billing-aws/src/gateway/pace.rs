//! How fast charges are sent: `PortOne`'s and the PG's allowance is the limit of a run, not ours.
//!
//! On each channel charges leave one after the other, evenly spaced a little further apart than the allowance asks, so that no second holds more
//! of them, wherever it begins. A process that stood still does not make up for it at once.
//! When `PortOne` says that it is too much, or does not answer in time, the distance doubles. After an answer that was late or did not come, each
//! good answer brings it a thirty-second back towards what is allowed; for a minute after a 429 each second with a good answer does, for who allows
//! less than we were told goes on to. What would wait too long is not sent.

use billing_core::decline::Pg;
use portone::Error;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a charge may wait for its turn. With the longest answer after it (63 s) it is over before the function's time limit (90 s), and so
/// well within the attempt's lease.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(20);

/// An answer that takes longer is a sign that `PortOne` or the PG has too much to do.
const SLOW: Duration = Duration::from_secs(20);

/// How much of the allowance is used, in percent. The rest is what [`SLACK`], and what is late on its way, may add to a second.
const USED_PERCENT: u32 = 96;

/// How late a charge may be sent without those behind it moving back: timers are late by a millisecond or two, which is not to add up.
const SLACK: Duration = Duration::from_millis(15);

/// The most that the distance is stretched: a sixteenth of the allowance is always sent, or nobody would learn that it is over.
const MAX_STRETCH: u32 = 16;

/// The distance is doubled once in this time at most, for charges that were sent together fail together. After a 429 it is eased once at most,
/// too: if each good answer eased it, all of the pace would be back within a few hundred milliseconds at a hundred charges a second, and of a
/// thousand charges, where `PortOne` took sixty a second, 277 were refused (`sandbox rush --limit`). After what is merely late each answer does, for
/// one in a hundred that is late would otherwise keep the pace low.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// For how long a 429 is believed: more than the 22 seconds in which half of the pace becomes all of it, eased once a second.
const BELIEVED_FOR: Duration = Duration::from_mins(1);

/// The part of the distance that is eased.
const EASED_BY: u32 = 32;

/// The pace of one process.
#[derive(Debug)]
pub(super) struct Pace {
    /// The distance of two charges when all is well; `None` if they are not paced.
    usual: Option<Duration>,
    /// `PortOne` tells a subscription's channel by the PG behind it.
    channels: Mutex<HashMap<Pg, Channel>>,
}

#[derive(Debug, Clone, Copy)]
struct Channel {
    /// When the next charge may be sent.
    next: Instant,
    /// The turn of the last that was sent.
    sent: Option<Instant>,
    /// The distance of two charges now.
    distance: Duration,
    /// When it was doubled last.
    doubled: Option<Instant>,
    /// When it was doubled or eased last.
    changed: Option<Instant>,
    /// When `PortOne` said last that it was too much.
    refused: Option<Instant>,
}

/// The charge would have to wait for longer than [`MAX_WAIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// What becomes of a charge whose turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Come {
    /// It is sent.
    Now,
    /// It has another turn.
    At(Instant),
}

/// What an answer says about the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// It was answered in time.
    Well,
    /// It was answered late, or not at all, or somebody on the way has too much to do.
    Late,
    /// `PortOne` or the PG says that more was sent than is allowed.
    TooMuch,
}

impl Pace {
    /// So many charges a second on each channel, or as many as come.
    pub(super) fn new(charges_per_second: Option<NonZeroU32>) -> Self {
        let used = |allowance: NonZeroU32| {
            let in_hundred_seconds = allowance.get().saturating_mul(USED_PERCENT);
            Duration::from_secs(100) / in_hundred_seconds.max(1)
        };
        Self { usual: charges_per_second.map(used), channels: Mutex::default() }
    }

    /// Waits for the charge's turn, and answers with when it came. It may move back while it is waited for: the process stood still, or the channel
    /// has become slower.
    pub(super) async fn turn(&self, channel: &Pg) -> Result<Instant, TooLong> {
        let asked = Instant::now();
        let mut turn = self.take(channel, asked).ok_or(TooLong)?;
        loop {
            tokio::time::sleep_until(turn).await;
            match self.come(channel, turn, asked, Instant::now())? {
                Come::Now => return Ok(Instant::now()),
                Come::At(later) => turn = later,
            }
        }
    }

    /// What becomes of a charge whose turn has come: it is sent, if that is not too close upon others, or has another turn.
    fn come(&self, channel: &Pg, turn: Instant, asked: Instant, now: Instant) -> Result<Come, TooLong> {
        let Some(usual) = self.usual else { return Ok(Come::Now) };
        self.with(channel, usual, now, |channel| {
            let after_last = channel.sent.map_or(turn, |sent| sent + channel.distance);
            let turn = turn.max(after_last).max(now.checked_sub(SLACK).unwrap_or(now));
            if turn.duration_since(asked) > MAX_WAIT {
                return Err(TooLong);
            }
            channel.next = channel.next.max(turn + channel.distance);
            if turn > now {
                return Ok(Come::At(turn));
            }
            channel.sent = Some(turn);
            Ok(Come::Now)
        })
    }

    /// Takes the next turn, if it is not too long until then.
    fn take(&self, channel: &Pg, now: Instant) -> Option<Instant> {
        let Some(usual) = self.usual else { return Some(now) };
        self.with(channel, usual, now, |channel| {
            let turn = channel.next.max(now);
            let is_soon = turn.duration_since(now) <= MAX_WAIT;
            if is_soon {
                channel.next = turn + channel.distance;
            }
            is_soon.then_some(turn)
        })
    }

    /// Learns from an answer.
    pub(super) fn heard(&self, channel: &Pg, load: Load, now: Instant) {
        let Some(usual) = self.usual else { return };
        let within = |last: Option<Instant>, span| last.is_some_and(|at| now < at + span);
        self.with(channel, usual, now, |channel| match load {
            Load::Well if within(channel.refused, BELIEVED_FOR) && within(channel.changed, AT_MOST_EVERY) => {}
            Load::Well => {
                channel.distance = channel.distance.saturating_sub(channel.distance / EASED_BY).max(usual);
                channel.changed = Some(now);
            }
            Load::Late | Load::TooMuch => {
                if load == Load::TooMuch {
                    channel.refused = Some(now);
                }
                if !within(channel.doubled, AT_MOST_EVERY) {
                    channel.distance = (channel.distance * 2).min(usual * MAX_STRETCH);
                    channel.doubled = Some(now);
                    channel.changed = Some(now);
                }
            }
        });
    }

    /// How many charges can be taken on now so that none waits too long, whatever channel they are on; never none, or nothing would be learned.
    pub(super) fn room(&self, now: Instant) -> usize {
        let Some(usual) = self.usual else { return usize::MAX };
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |channel: &Channel| {
            let left = MAX_WAIT.saturating_sub(channel.next.saturating_duration_since(now));
            left.as_nanos().checked_div(channel.distance.as_nanos()).unwrap_or(0)
        };
        let unused = Channel::new(usual, now);
        let least = channels.values().map(of).fold(of(&unused), u128::min);
        usize::try_from(least).unwrap_or(usize::MAX).max(1)
    }

    fn with<T>(&self, channel: &Pg, usual: Duration, now: Instant, change: impl FnOnce(&mut Channel) -> T) -> T {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        change(channels.entry(channel.clone()).or_insert_with(|| Channel::new(usual, now)))
    }
}

impl Channel {
    fn new(distance: Duration, now: Instant) -> Self {
        Self { next: now, sent: None, distance, doubled: None, changed: None, refused: None }
    }
}

impl Load {
    /// What an answer to a charge says, and the time it took. A decline is an answer.
    pub(super) fn of<T>(answer: &Result<T, Error>, took: Duration) -> Self {
        let status = match answer {
            Err(Error::Transport { .. }) => return Self::Late,
            Err(Error::NotJson { status, .. }) => Some(*status),
            Err(Error::Api(error)) => Some(error.status),
            Ok(_) | Err(Error::Undecodable { .. }) => None,
        };
        match status {
            Some(429) => Self::TooMuch,
            Some(503 | 504) => Self::Late,
            Some(_) | None if took > SLOW => Self::Late,
            Some(_) | None => Self::Well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARDS: Pg = Pg::TossPayments;

    fn pace(allowance: u32) -> Pace {
        Pace::new(NonZeroU32::new(allowance))
    }

    /// When each of so many charges that come at once is sent, in milliseconds from then.
    fn sent(pace: &Pace, channel: &Pg, charges: u32, now: Instant) -> Vec<u128> {
        let turns = (0..charges).filter_map(|_| pace.take(channel, now));
        turns.map(|turn| turn.duration_since(now).as_millis()).collect()
    }

    #[test]
    fn no_second_holds_more_than_is_allowed_and_at_least_95_percent_of_it_are_used() {
        for allowance in [1, 3, 10, 50, 200, 1000] {
            let times = sent(&pace(allowance), &CARDS, allowance * 15, Instant::now());
            let in_second = |from: &u128| times.iter().filter(|at| (*from..*from + 1000).contains(at)).count();
            let most = times.iter().map(in_second).max().unwrap();
            assert!(most <= usize::try_from(allowance).unwrap(), "{most} in a second of {allowance}");
            assert!(*times.last().unwrap() <= 15_000 * 100 / 95, "{allowance}: {times:?}");
        }
    }

    /// When charges that came together are sent by a process that stands still in these spans, in milliseconds from then; those that would wait too
    /// long are left out. After each, `PortOne` says that.
    fn lived(pace: &Pace, charges: u32, stands: &[(u64, u64)], load: Load) -> Vec<u128> {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut waiting: Vec<Instant> = (0..charges).map(|_| pace.take(&CARDS, began).unwrap()).collect();
        let mut sent = Vec::new();
        while let Some(first) = (0..waiting.len()).min_by_key(|i| waiting[*i]) {
            let turn = waiting.remove(first);
            let stand = stands.iter().find(|(from, until)| (at(*from)..at(*until)).contains(&turn));
            let now = stand.map_or(turn, |(_, until)| at(*until));
            match pace.come(&CARDS, turn, began, now) {
                Ok(Come::Now) => {
                    sent.push(now.duration_since(began).as_millis());
                    pace.heard(&CARDS, load, now);
                }
                Ok(Come::At(later)) => waiting.push(later),
                Err(TooLong) => {}
            }
        }
        sent
    }

    fn most_in_a_second(sent: &[u128]) -> usize {
        let in_second = |from: &u128| sent.iter().filter(|at| (*from..*from + 1000).contains(at)).count();
        sent.iter().map(in_second).max().unwrap()
    }

    #[test]
    fn charges_whose_turn_went_by_while_the_process_stood_still_are_spaced_anew() {
        let sent = lived(&pace(30), 60, &[(0, 1000)], Load::Well);
        assert_eq!(sent[..3], [1000, 1019, 1054]);
        assert_eq!((sent.len(), most_in_a_second(&sent)), (60, 30));
    }

    #[test]
    fn so_are_those_of_a_process_that_stands_still_again_and_again() {
        let sent = lived(&pace(30), 60, &[(0, 1000), (1005, 2000), (2001, 3000)], Load::Well);
        assert_eq!((sent.len(), most_in_a_second(&sent)), (60, 30));
    }

    #[test]
    fn what_has_to_wait_too_long_because_the_channel_becomes_slower_meanwhile_is_not_sent() {
        let sent = lived(&pace(2), 20, &[], Load::Late);
        assert_eq!(sent, [0, 1041, 3124, 7291, 15_624]);
    }

    #[test]
    fn a_timer_that_is_a_little_late_costs_nothing() {
        let (pace, now) = (pace(30), Instant::now());
        let turns: Vec<Instant> = (0..30).map(|_| pace.take(&CARDS, now).unwrap()).collect();
        for turn in turns {
            assert_eq!(pace.come(&CARDS, turn, now, turn + Duration::from_millis(3)), Ok(Come::Now));
        }
    }

    #[test]
    fn a_process_that_was_idle_saves_nothing_up() {
        let (pace, now) = (pace(10), Instant::now());
        sent(&pace, &CARDS, 1, now);
        assert_eq!(sent(&pace, &CARDS, 3, now + Duration::from_mins(1)), [0, 104, 208]);
    }

    #[test]
    fn each_channel_has_an_allowance_of_its_own() {
        let (pace, now) = (pace(1), Instant::now());
        assert_eq!(sent(&pace, &CARDS, 1, now), [0]);
        assert_eq!(sent(&pace, &Pg::PayPal, 1, now), [0]);
        assert_eq!(sent(&pace, &CARDS, 1, now), [1041]);
    }

    #[test]
    fn what_would_wait_too_long_is_not_sent_and_there_is_no_room_for_it() {
        let (pace, now) = (pace(1), Instant::now());
        assert_eq!(pace.room(now), 19);
        assert_eq!(sent(&pace, &CARDS, 40, now).len(), 20);
        assert_eq!(pace.room(now), 1, "one is always tried");
        assert_eq!(pace.room(now + MAX_WAIT), 18);
        assert_eq!(Pace::new(None).room(now), usize::MAX);
    }

    /// The distance of two charges, in microseconds.
    fn distance(pace: &Pace) -> u128 {
        pace.with(&CARDS, pace.usual.unwrap(), Instant::now(), |channel| channel.distance.as_micros())
    }

    #[test]
    fn what_is_late_halves_the_pace_once_a_second_and_each_good_answer_brings_some_of_it_back() {
        let (pace, mut now) = (pace(100), Instant::now());
        for _ in 0..50 {
            pace.heard(&CARDS, Load::Late, now);
        }
        assert_eq!(distance(&pace), 20_833);
        for _ in 0..10 {
            now += AT_MOST_EVERY;
            pace.heard(&CARDS, Load::Late, now);
        }
        assert_eq!(distance(&pace), 166_666, "a sixteenth, and no less");
        for _ in 0..88 {
            pace.heard(&CARDS, Load::Well, now);
        }
        assert_eq!(distance(&pace), 10_416, "after some ninety good answers all is as before");
    }

    #[test]
    fn for_a_minute_after_a_429_the_pace_comes_back_by_one_good_answer_a_second() {
        let (pace, mut now) = (pace(100), Instant::now());
        pace.heard(&CARDS, Load::TooMuch, now);
        pace.heard(&CARDS, Load::Late, now);
        assert_eq!(distance(&pace), 20_833);
        now += AT_MOST_EVERY;
        for _ in 0..50 {
            pace.heard(&CARDS, Load::Well, now);
        }
        assert_eq!(distance(&pace), 20_182, "a thirty-second less, and not fifty");
        for _ in 0..21 {
            assert!(distance(&pace) > 10_416);
            now += AT_MOST_EVERY;
            pace.heard(&CARDS, Load::Well, now);
        }
        assert_eq!(distance(&pace), 10_416);
        now += BELIEVED_FOR;
        pace.heard(&CARDS, Load::Late, now);
        for _ in 0..22 {
            pace.heard(&CARDS, Load::Well, now);
        }
        assert_eq!(distance(&pace), 10_416, "what is late is over at once again");
    }

    #[test]
    fn without_an_allowance_all_are_sent_at_once() {
        assert_eq!(sent(&Pace::new(None), &CARDS, 3, Instant::now()), [0, 0, 0]);
    }

    #[test]
    fn a_decline_is_an_answer_a_429_is_too_much_and_a_timeout_and_a_slow_answer_are_late() {
        let api = |status, kind: &str| {
            Err::<(), _>(Error::Api(portone::ApiError { status, kind: kind.into(), message: None, pg: None }))
        };
        let html = |status| Err::<(), _>(Error::NotJson { status, content_type: None, excerpt: String::new() });
        let soon = Duration::from_secs(2);
        assert_eq!(Load::of(&api(502, "PG_PROVIDER"), soon), Load::Well);
        assert_eq!(Load::of(&Ok(()), soon), Load::Well);
        assert_eq!(Load::of(&html(502), soon), Load::Well);
        assert_eq!(Load::of(&Ok(()), Duration::from_secs(21)), Load::Late);
        assert_eq!(Load::of(&api(429, "TOO_MANY_REQUESTS"), soon), Load::TooMuch);
        assert_eq!(Load::of(&html(503), soon), Load::Late);
        assert_eq!(Load::of(&api(503, "UNAVAILABLE"), soon), Load::Late);
        let timeout = Error::Transport { phase: portone::TransportPhase::Timeout, source: None };
        assert_eq!(Load::of(&Err::<(), _>(timeout), soon), Load::Late);
    }
}
