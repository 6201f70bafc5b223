//! `kubectl eksnet explain ID`.

use crate::args::Explain;
use crate::exit::{Failure, OK};
use crate::output::print;

pub(crate) fn run(options: &Explain) -> Result<u8, Failure> {
    let Some(check) = eksnet_checks::find(&options.id) else {
        let near = nearest(&options.id);
        return Err(Failure::usage(format!(
            "no check is called {:?}; {near}`kubectl eksnet checks` lists them",
            options.id
        )));
    };
    print(check.meta.doc)?;
    Ok(OK)
}

/// A check whose slug or id the text is part of.
fn nearest(text: &str) -> String {
    let slug = text.rsplit('/').next().unwrap_or(text);
    eksnet_checks::all()
        .iter()
        .find(|check| !slug.is_empty() && check.meta.id.contains(slug))
        .map(|check| format!("did you mean {}? ", check.meta.id))
        .unwrap_or_default()
}
