//! Service account tokens: ES256 JSON Web Tokens, their keys and the key set
//! (JWKS) by which others verify them.
//!
//! A token's signature, issuer, audience and times are judged here; whether
//! the account and what the token is bound to still exist is `auth`'s matter.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// The claims of a bound service account token (KEP-1205).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(default, deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Seconds since 1970.
    pub exp: i64,
    #[serde(default)]
    pub iat: i64,
    pub iss: String,
    #[serde(default)]
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: KubernetesClaims,
    #[serde(default)]
    pub nbf: i64,
    pub sub: String,
}

/// The private claim `kubernetes.io`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KubernetesClaims {
    pub namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<BoundObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<BoundObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<BoundObject>,
    pub serviceaccount: BoundObject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// `iss` of tokens that lie in Secrets and never expire.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// The claims of a token in a Secret of type `kubernetes.io/service-account-token`:
/// it holds as long as the Secret does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LegacyClaims {
    #[serde(rename = "kubernetes.io/serviceaccount/namespace", default)]
    pub namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name", default)]
    pub secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name", default)]
    pub account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid", default)]
    pub account_uid: String,
    #[serde(default)]
    pub sub: String,
}

/// What a token of this cluster says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verified {
    Bound(Box<Claims>),
    Legacy(LegacyClaims),
}

impl Verified {
    /// The user name of the account.
    pub fn subject(&self) -> &str {
        match self {
            Self::Bound(claims) => &claims.sub,
            Self::Legacy(claims) => &claims.sub,
        }
    }
}

/// An object that a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoundObject {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::Many(many) => many,
    })
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// No token of this issuer: another authenticator may know it.
    #[error("the token was not issued here")]
    Foreign,
    #[error("invalid bearer token")]
    Invalid,
    #[error("service account token has expired")]
    Expired,
    #[error("service account token is not valid yet")]
    NotYet,
    #[error("token audiences {} is invalid for the target audiences {}", quoted(audiences), quoted(wanted))]
    Audience { audiences: Vec<String>, wanted: Vec<String> },
}

/// A list as Go's `%q` writes it.
fn quoted(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| format!("{item:?}")).collect();
    format!("[{}]", items.join(" "))
}

struct VerifyingKey {
    id: String,
    key: DecodingKey,
    jwk: serde_json::Value,
}

/// The signing key and every key whose tokens are still accepted.
pub struct ServiceAccountKeys {
    issuer: String,
    id: String,
    signing: EncodingKey,
    verifying: Vec<VerifyingKey>,
}

impl ServiceAccountKeys {
    /// Signs with `key` (PKCS#8 PEM) under `issuer`; the error says what is wrong with the key.
    pub fn new(issuer: impl Into<String>, key: &str) -> Result<Self, String> {
        let signing = EncodingKey::from_ec_pem(key.as_bytes()).map_err(|why| why.to_string())?;
        let verifying = VerifyingKey::of(key)?;
        Ok(Self { issuer: issuer.into(), id: verifying.id.clone(), signing, verifying: vec![verifying] })
    }

    /// Goes on accepting tokens signed by another key (PKCS#8 PEM).
    pub fn also_accept(&mut self, key: &str) -> Result<(), String> {
        let key = VerifyingKey::of(key)?;
        if self.verifying.iter().all(|known| known.id != key.id) {
            self.verifying.push(key);
        }
        Ok(())
    }

    /// `iss` of the tokens, and the API's own audience.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The compact serialization of a token with these claims.
    pub fn sign(&self, claims: &Claims) -> Result<String, crate::Error> {
        self.encode(claims, &claims.sub)
    }

    /// As [`ServiceAccountKeys::sign`], of a token that lies in a Secret.
    pub fn sign_legacy(&self, claims: &LegacyClaims) -> Result<String, crate::Error> {
        #[derive(Serialize)]
        struct Issued<'a> {
            iss: &'a str,
            #[serde(flatten)]
            claims: &'a LegacyClaims,
        }
        self.encode(&Issued { iss: LEGACY_ISSUER, claims }, &claims.sub)
    }

    fn encode(&self, claims: &impl Serialize, subject: &str) -> Result<String, crate::Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.signing)
            .map_err(|why| crate::Error::Issue { subject: subject.to_owned(), why: why.to_string() })
    }

    /// Checks signature, issuer and times. Audiences are checked apart, by
    /// [`Claims::audiences_among`], since a review names its own. A token of a
    /// Secret has no times.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Foreign)?;
        let key = match &header.kid {
            Some(id) => self.verifying.iter().find(|key| key.id == *id),
            None => self.verifying.first(),
        };
        let Some(key) = key else {
            return Err(self.stranger(token));
        };
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let signed = jsonwebtoken::decode::<serde_json::Value>(token, &key.key, &validation)
            .map_err(|_| self.stranger(token))?
            .claims;
        if signed["iss"] == LEGACY_ISSUER {
            let claims = serde_json::from_value(signed).map_err(|_| TokenError::Invalid)?;
            return Ok(Verified::Legacy(claims));
        }
        if signed["iss"] != self.issuer.as_str() {
            return Err(TokenError::Foreign);
        }
        let claims: Claims = serde_json::from_value(signed).map_err(|_| TokenError::Invalid)?;
        claims.check_times(now)?;
        Ok(Verified::Bound(Box::new(claims)))
    }

    /// A token that no key of ours fits: invalid where it claims an issuer of ours.
    fn stranger(&self, token: &str) -> TokenError {
        match jsonwebtoken::dangerous::insecure_decode::<serde_json::Value>(token) {
            Ok(data) if [LEGACY_ISSUER, &self.issuer].iter().any(|ours| data.claims["iss"] == **ours) => {
                TokenError::Invalid
            }
            _ => TokenError::Foreign,
        }
    }

    /// What `/.well-known/openid-configuration` says; `keys` is the address of the key set.
    pub fn openid_configuration(&self, keys: &str) -> serde_json::Value {
        serde_json::json!({
            "issuer": self.issuer,
            "jwks_uri": keys,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// The JSON Web Key Set served at `/openid/v1/jwks`.
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": self.verifying.iter().map(|key| &key.jwk).collect::<Vec<_>>() })
    }
}

impl Claims {
    fn check_times(&self, now: Timestamp) -> Result<(), TokenError> {
        let now = now.as_second();
        if now >= self.exp {
            return Err(TokenError::Expired);
        }
        if now < self.nbf {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }

    /// The audiences that are both in the token and wanted; an error where there is none.
    pub fn audiences_among(&self, wanted: &[String]) -> Result<Vec<String>, TokenError> {
        let common: Vec<String> = self.aud.iter().filter(|name| wanted.contains(name)).cloned().collect();
        if common.is_empty() {
            return Err(TokenError::Audience { audiences: self.aud.clone(), wanted: wanted.to_vec() });
        }
        Ok(common)
    }
}

impl VerifyingKey {
    /// The public half of a private key; its id is the SHA-256 of the
    /// SubjectPublicKeyInfo in base64url, as upstream computes it.
    fn of(key: &str) -> Result<Self, String> {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let pair = rcgen::KeyPair::from_pem(key).map_err(|why| why.to_string())?;
        if pair.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err("it is no ECDSA P-256 key".into());
        }
        let info = rcgen::PublicKeyData::subject_public_key_info(&pair);
        let id =
            URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &info).as_ref());
        // An uncompressed point: 4, then 32 bytes each of x and y.
        let point = pair.public_key_raw();
        let (x, y) = match point {
            [4, rest @ ..] if rest.len() == 64 => rest.split_at(32),
            _ => return Err("its public point is not on P-256".into()),
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let decoding = DecodingKey::from_ec_components(&x, &y).map_err(|why| why.to_string())?;
        let jwk = serde_json::json!({
            "use": "sig", "kty": "EC", "kid": id, "crv": "P-256", "alg": "ES256", "x": x, "y": y,
        });
        Ok(Self { id, key: decoding, jwk })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key").serialize_pem()
    }

    fn claims(now: i64) -> Claims {
        Claims {
            aud: vec!["https://issuer".into(), "vault".into()],
            exp: now + 600,
            iat: now,
            iss: "https://issuer".into(),
            jti: "1".into(),
            kubernetes: KubernetesClaims {
                namespace: "shop".into(),
                serviceaccount: BoundObject { name: "cart".into(), uid: "u".into() },
                pod: Some(BoundObject { name: "cart-0".into(), uid: "p".into() }),
                ..KubernetesClaims::default()
            },
            nbf: now,
            sub: "system:serviceaccount:shop:cart".into(),
        }
    }

    #[test]
    fn a_token_is_what_was_signed_until_it_expires() {
        let keys = ServiceAccountKeys::new("https://issuer", &key()).expect("keys");
        let at = |second| Timestamp::from_second(second).expect("a time");
        let signed = claims(1_000_000);
        let token = keys.sign(&signed).expect("a token");
        assert_eq!(keys.verify(&token, at(1_000_001)), Ok(Verified::Bound(Box::new(signed.clone()))));
        assert_eq!(keys.verify(&token, at(1_000_600)), Err(TokenError::Expired));
        assert_eq!(keys.verify(&token, at(999_999)), Err(TokenError::NotYet));
        assert_eq!(signed.audiences_among(&["vault".into(), "x".into()]), Ok(vec!["vault".into()]));
        assert!(signed.audiences_among(&["x".into()]).is_err());
    }

    #[test]
    fn a_token_in_a_secret_has_no_end() {
        let keys = ServiceAccountKeys::new("https://issuer", &key()).expect("keys");
        let claims = LegacyClaims {
            namespace: "shop".into(),
            secret: "cart-token".into(),
            account: "cart".into(),
            account_uid: "u".into(),
            sub: "system:serviceaccount:shop:cart".into(),
        };
        let token = keys.sign_legacy(&claims).expect("a token");
        let read = jsonwebtoken::dangerous::insecure_decode::<serde_json::Value>(&token).expect("claims");
        assert_eq!(read.claims["iss"], "kubernetes/serviceaccount");
        assert_eq!(read.claims["kubernetes.io/serviceaccount/secret.name"], "cart-token");
        assert_eq!(keys.verify(&token, Timestamp::MAX), Ok(Verified::Legacy(claims.clone())));
        let thieves = ServiceAccountKeys::new("https://issuer", &key()).expect("keys");
        let forged = thieves.sign_legacy(&claims).expect("a token");
        assert_eq!(keys.verify(&forged, Timestamp::UNIX_EPOCH), Err(TokenError::Invalid));
    }

    #[test]
    fn strangers_and_forgeries_are_told_apart() {
        let ours = ServiceAccountKeys::new("https://issuer", &key()).expect("keys");
        let theirs = ServiceAccountKeys::new("https://elsewhere", &key()).expect("keys");
        let thieves = ServiceAccountKeys::new("https://issuer", &key()).expect("keys");
        let at = Timestamp::from_second(1_000_001).expect("a time");
        let mut claims = claims(1_000_000);
        assert_eq!(ours.verify(&thieves.sign(&claims).expect("a token"), at), Err(TokenError::Invalid));
        claims.iss = "https://elsewhere".into();
        assert_eq!(ours.verify(&theirs.sign(&claims).expect("a token"), at), Err(TokenError::Foreign));
        assert_eq!(ours.verify("opaque", at), Err(TokenError::Foreign));
    }

    #[test]
    fn an_older_key_is_still_accepted() {
        let old = key();
        let before = ServiceAccountKeys::new("i", &old).expect("keys");
        let mut after = ServiceAccountKeys::new("i", &key()).expect("keys");
        after.also_accept(&old).expect("a key");
        let mut claims = claims(1_000_000);
        claims.iss = "i".into();
        let token = before.sign(&claims).expect("a token");
        assert!(after.verify(&token, Timestamp::from_second(1_000_001).expect("a time")).is_ok());
        assert_eq!(after.jwks()["keys"].as_array().map(Vec::len), Some(2));
    }
}
