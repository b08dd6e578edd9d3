//! The Status that ends exec and attach on their error channel.

use serde_json::json;

use crate::Exit;

/// meta/v1 Status of `exit`, as protocols from v4 on send it.
pub fn status(exit: &Exit) -> String {
    let status = match exit {
        Exit::Code(0) => json!({"metadata": {}, "status": "Success"}),
        Exit::Code(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": message(exit),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Exit::Failed(why) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("Internal error occurred: {why}"),
            "reason": "InternalError",
            "details": {"causes": [{"message": why}]},
            "code": 500,
        }),
    };
    status.to_string()
}

/// The plain sentence that older protocols send; nothing after a success.
pub fn message(exit: &Exit) -> String {
    match exit {
        Exit::Code(0) => String::new(),
        Exit::Code(code) => {
            format!("command terminated with non-zero exit code: command terminated with exit code {code}")
        }
        Exit::Failed(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_tell_their_code_as_a_cause() {
        let parsed: serde_json::Value = serde_json::from_str(&status(&Exit::Code(3))).unwrap();
        assert_eq!(parsed["details"]["causes"][0]["message"], "3");
        assert_eq!(parsed["reason"], "NonZeroExitCode");
        assert_eq!(status(&Exit::Code(0)), r#"{"metadata":{},"status":"Success"}"#);
        assert!(message(&Exit::Code(0)).is_empty());
    }
}
