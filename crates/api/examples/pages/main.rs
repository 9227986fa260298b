//! Writes every state of every page to a folder, to be looked at: `cargo run -p api --example pages -- FOLDER`.

use billing_core::plan::Locale;
use std::path::PathBuf;

mod samples;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("the folder to write to is missing")?);
    std::fs::create_dir_all(&folder)?;
    let site = samples::site();
    for (name, state) in samples::states()? {
        for locale in [Locale::Ko, Locale::En] {
            let page = state.render(locale, &site)?;
            std::fs::write(folder.join(format!("{name}-{}.html", locale.tag())), page.html)?;
        }
    }
    Ok(())
}
