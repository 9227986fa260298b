//! Reading variables, and collecting what is wrong with them.

use std::fmt;
use thiserror::Error;

/// A group of variables that belong together.
pub trait Group: Sized {
    /// Reads every variable of the group, even after one was wrong; `None` if any was.
    fn read(vars: &mut Vars<'_>) -> Option<Self>;
}

/// Where variables are read from, and what was wrong with them so far.
pub struct Vars<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

/// One variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub name: &'static str,
    /// What is wrong, without its value.
    pub what: String,
    /// What it could be.
    pub example: &'static str,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| {
            let Problem { name, what, example } = problem;
            write!(f, "\n  {name} {what}; for example {name}={example}")
        })
    }
}

impl<'a> Vars<'a> {
    pub(super) fn read<T: Group>(get: &'a dyn Fn(&str) -> Option<String>) -> Result<T, ConfigErrors> {
        let mut vars = Self { get, problems: Vec::new() };
        match T::read(&mut vars) {
            Some(group) if vars.problems.is_empty() => Ok(group),
            _ => Err(ConfigErrors(vars.problems)),
        }
    }

    /// Notes what is wrong with variables that were each read without complaint.
    pub fn problem(&mut self, name: &'static str, what: &str, example: &'static str) {
        self.problems.push(Problem { name, what: what.to_owned(), example });
    }

    /// A variable that must be set. Blank is not set.
    pub fn required<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let read = self.optional(name, example, parse)?;
        if read.is_none() {
            self.problems.push(Problem { name, what: "is not set".to_owned(), example });
        }
        read
    }

    /// A variable that may be set; the outer `None` means that it is wrong.
    pub fn optional<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        let text = (self.get)(name).unwrap_or_default();
        let text = text.trim();
        if text.is_empty() {
            return Some(None);
        }
        match parse(text) {
            Ok(value) => Some(Some(value)),
            Err(error) => {
                self.problems.push(Problem { name, what: error.to_string(), example });
                None
            }
        }
    }
}

macro_rules! groups {
    ($($group:ident $value:ident),+) => {
        impl<$($group: Group),+> Group for ($($group,)+) {
            fn read(vars: &mut Vars<'_>) -> Option<Self> {
                $(let $value = $group::read(vars);)+
                Some(($($value?,)+))
            }
        }
    };
}

groups!(A a, B b);
groups!(A a, B b, C c);
groups!(A a, B b, C c, D d);
groups!(A a, B b, C c, D d, E e);
groups!(A a, B b, C c, D d, E e, F f);
groups!(A a, B b, C c, D d, E e, F f, G g);
