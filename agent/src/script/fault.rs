//! What went wrong inside JavaScript, as an error that names the script's line. Never here: what is done about it.

use super::ScriptError;
use rquickjs::{CaughtError, Coerced, Ctx, Error, Exception, FromJs, Value};

/// What QuickJS calls the script in its stack traces, whatever its user calls it. The prelude has another name.
pub const FILE: &str = "script";
/// Longest message kept of what a script throws, bytes.
const LONGEST: usize = 512;

/// What a call ended with.
pub fn of_call(ctx: &Ctx<'_>, script: &str, error: Error) -> ScriptError {
    match CaughtError::from_error(ctx, error) {
        CaughtError::Error(error) => own(script, &error),
        CaughtError::Exception(exception) => of_exception(script, &exception),
        CaughtError::Value(value) => of_value(script, value),
    }
}

/// What was thrown: an `Error` knows its line, anything else has none.
pub fn of_value(script: &str, value: Value<'_>) -> ScriptError {
    if let Some(exception) = value.as_object().cloned().and_then(Exception::from_object) {
        return of_exception(script, &exception);
    }
    let ctx = value.ctx().clone();
    let text = match Coerced::<String>::from_js(&ctx, value) {
        Ok(text) => text.0,
        Err(_) => {
            // its toString threw too
            ctx.catch();
            "something that has no text".into()
        }
    };
    ScriptError {
        script: script.to_owned(),
        line: None,
        message: format!("threw {}", cut(text)),
    }
}

/// Without an exception: out of memory before there was a script, a text that is not UTF-8, and the like.
pub fn own(script: &str, error: &Error) -> ScriptError {
    ScriptError {
        script: script.to_owned(),
        line: None,
        message: error.to_string(),
    }
}

fn of_exception(script: &str, exception: &Exception<'_>) -> ScriptError {
    let name: Option<String> = exception.as_object().get("name").ok();
    let message = exception.message().unwrap_or_default();
    let message = match name.as_deref() {
        Some("Error") | None if !message.is_empty() => message,
        Some(name) if message.is_empty() => name.to_owned(),
        Some(name) => format!("{name}: {message}"),
        None => "an error without a text".into(),
    };
    ScriptError {
        script: script.to_owned(),
        line: exception.stack().and_then(|stack| line_of(&stack)),
        message: cut(message),
    }
}

/// The innermost line of the script in a stack trace, whose lines end in `(FILE:LINE:COLUMN)` or are `at FILE:LINE:COLUMN`.
fn line_of(stack: &str) -> Option<u32> {
    stack.lines().find_map(|frame| {
        let place = frame.trim_start().strip_prefix("at ")?;
        let place = match place.rsplit_once('(') {
            Some((_, inside)) => inside.strip_suffix(')')?,
            None => place,
        };
        let place = place.strip_prefix(FILE)?.strip_prefix(':')?;
        place.split(':').next()?.parse().ok()
    })
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_line_of_the_script_is_found() {
        let cases = [
            ("    at deep (script:12:5)\n    at on_connect (script:3:1)\n", Some(12)),
            (
                "    at emit (eval_script:20:9)\n    at on_connect (script:7:1)\n",
                Some(7),
            ),
            ("    at script:4:18\n", Some(4)),
            ("    at parse (native)\n    at <anonymous> (eval_script:1:1)\n", None),
            ("", None),
        ];
        for (stack, line) in cases {
            assert_eq!(line_of(stack), line, "{stack}");
        }
    }
}
