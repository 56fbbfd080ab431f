//! "Did you mean …": the nearest known name for an unknown one.

/// No name that is known is longer, and the comparison takes the product of both lengths.
const LONGEST: usize = 64;

/// `; did you mean "…"?`, or what is known where nothing is near.
pub fn hint(wrong: &str, known: &[&str]) -> String {
    if wrong.len() > LONGEST {
        return String::new();
    }
    let nearest = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(wrong, name), *name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness >= 0.5 => format!("; did you mean \"{name}\"?"),
        _ if known.is_empty() || known.len() > 12 => String::new(),
        _ => format!("; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_or_all() {
        assert_eq!(hint("scops", &["scopes", "rules"]), "; did you mean \"scopes\"?");
        assert_eq!(hint("zzz", &["scopes", "rules"]), "; known are scopes, rules");
        assert_eq!(hint(&"a".repeat(3_000_000), &["scopes", "rules"]), "");
    }
}
