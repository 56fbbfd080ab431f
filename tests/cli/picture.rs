//! Pictures of terminal sessions for the documentation, drawn from real output.

use std::path::Path;

use anstyle::{Color, RgbColor};
use anstyle_svg::{Term, WIN10_CONSOLE};

/// What `command` printed, with the line on which it was typed.
pub(crate) fn typed(command: &str, printed: &str) -> String {
    format!("\u{1b}[2m$\u{1b}[0m \u{1b}[1m{command}\u{1b}[0m\n{}\n", printed.trim_end())
}

/// Holds the picture of a session under docs/images to `session`, or draws it again if
/// `STATEWARD_UPDATE` is set.
pub(crate) fn hold(name: &str, session: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images").join(name);
    // GitHub shows a picture beside text of any colour, so the background is a part of it.
    let term = Term::new()
        .palette(WIN10_CONSOLE)
        .fg_color(Color::Rgb(RgbColor(0xd0, 0xd7, 0xde)))
        .bg_color(Color::Rgb(RgbColor(0x16, 0x1b, 0x22)));
    let picture = term.render_svg(session.trim_end());
    if std::env::var_os("STATEWARD_UPDATE").is_some() {
        std::fs::write(path, picture).unwrap();
        return;
    }
    let drawn = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        drawn == picture,
        "docs/images/{name} does not show this session; STATEWARD_UPDATE=1 draws it again:\n{session}"
    );
}
