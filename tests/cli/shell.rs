//! What `shell_quote` makes of a word is that word to a real shell.

use std::process::Command;

use stateward_core::shell::shell_quote;

/// The words that `sh` makes of `words`.
fn read_by_sh(words: &[String]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| shell_quote(word)).collect();
    let script = format!("printf '%s\\0' {}", quoted.join(" "));
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn every_word_arrives_as_it_was() {
    let mut words: Vec<String> = (1..=127_u8).map(|byte| char::from(byte).to_string()).collect();
    words.extend((1..=127_u8).map(|byte| format!("a{}b", char::from(byte))));
    words.extend(
        [
            "",
            " ",
            "it's",
            "''",
            "a'b'c",
            "$(touch x)",
            "`x`",
            "${HOME}",
            "~",
            "~root",
            "*",
            "?",
            "[a]",
            "{a,b}",
            "a\\",
            "\\'",
            "!!",
            "=ls",
            "a=b",
            "-n",
            "#x",
            "a;b",
            "a&&b",
            "a|b",
            "<a>",
            "ü",
            "a\nb",
            "shop/db",
            "arn:aws:eks:eu:1:cluster/prod",
        ]
        .map(str::to_owned),
    );
    assert_eq!(read_by_sh(&words), words);
}

#[test]
fn names_that_the_api_server_accepts_stay_as_they_are() {
    for name in ["db", "data-db-0", "sts/db", "a.b-c.d", "10Gi", "stateward.dev/resize-max=5Gi"] {
        assert_eq!(shell_quote(name), name);
    }
    assert_eq!(shell_quote("=ls"), "'=ls'");
}
