//! Connections to pods: admitted by their options before anybody is asked.

use crate::server::Tested;

#[tokio::test]
async fn admission_sees_the_options_of_a_connection() {
    let tested = Tested::new();
    let exec = "/api/v1/namespaces/n/pods/p/exec?stdin=true&container=c&command=";
    for method in ["GET", "POST"] {
        let refused = tested.ask(method, &format!("{exec}rm&command=-r"), "").await;
        assert_eq!(refused.code, 403, "{}", refused.text);
        let told = "pods \"p\" is forbidden: rm -r in c, stdin true, stdout false";
        assert!(refused.body["message"].text().ends_with(told), "{}", refused.text);
        // Nobody minds, but there is no such pod.
        let passed = tested.ask(method, &format!("{exec}ls"), "").await;
        assert_eq!(passed.code, 404, "{}", passed.text);
    }
}
