//! Who may come in: passwords compared in constant time.

use subtle::{Choice, ConstantTimeEq as _};

use super::User;

/// The name that `AUTH password` without a name means.
pub(super) const DEFAULT: &str = "default";

/// The place of the user with this name and password. Every user is looked at and every password compared, so
/// that the time taken tells neither which names exist nor how much of a password was right.
pub(super) fn find(users: &[User], name: &[u8], password: &[u8]) -> Option<usize> {
    let mut found = None;
    for (at, user) in users.iter().enumerate() {
        let hit: Choice = user.name.as_bytes().ct_eq(name) & user.password.as_bytes().ct_eq(password);
        if bool::from(hit) {
            found = Some(at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_must_belong_together() {
        let user = |name: &str, password: &str| User { name: name.to_owned(), password: password.to_owned() };
        let users = [user(DEFAULT, "a"), user("app", "b")];
        assert_eq!(find(&users, b"app", b"b"), Some(1));
        for (name, password) in [("app", "a"), ("default", "b"), ("", "a"), ("app", "bb"), ("nobody", "")] {
            assert_eq!(find(&users, name.as_bytes(), password.as_bytes()), None);
        }
    }
}
