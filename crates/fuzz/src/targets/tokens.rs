//! Service account tokens: none but those that the cluster signed hold.

use std::sync::LazyLock;

use jiff::Timestamp;
use pki::{Claims, KubernetesClaims, ServiceAccountKeys};

use crate::Target;

pub const TARGET: Target = Target { name: "tokens", seeds, check };

struct Signer {
    keys: ServiceAccountKeys,
    token: String,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let keys = ServiceAccountKeys::new("https://kubernetes.default.svc", &key).expect("keys");
    let claims = Claims {
        aud: vec!["a".into()],
        exp: 3600,
        iat: 0,
        iss: keys.issuer().into(),
        jti: "1".into(),
        kubernetes: KubernetesClaims::default(),
        nbf: 0,
        sub: "system:serviceaccount:n:a".into(),
    };
    let token = keys.sign(&claims).expect("signed");
    Signer { keys, token }
});

fn seeds() -> Vec<Vec<u8>> {
    let token = SIGNER.token.clone();
    let body = token.split('.').nth(1).unwrap_or("").to_owned();
    let none = format!("eyJhbGciOiJub25lIn0.{body}.");
    vec![token.into_bytes(), none.into_bytes(), b"a.b.c".to_vec(), Vec::new()]
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    match SIGNER.keys.verify(&text, Timestamp::UNIX_EPOCH) {
        Ok(claims) => {
            assert_eq!(claims.subject(), "system:serviceaccount:n:a", "nobody else's token holds");
            // ECDSA's signatures are read from base64, whose last letter may say the same in several ways.
            let signed = |token: &str| token.rsplit_once('.').map(|(signed, _)| signed.to_owned());
            assert_eq!(signed(&text), signed(&SIGNER.token), "what was signed is as it was");
            "holds".into()
        }
        Err(error) => error.to_string(),
    }
}
