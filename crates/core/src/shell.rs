//! Words of shell commands.

/// `word` as a POSIX shell takes it. Names that the API server accepts stay as they are.
pub fn shell_quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:=@%+,".contains(&byte);
    // A leading `=` is a command's path to zsh.
    if !word.is_empty() && !word.starts_with('=') && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
