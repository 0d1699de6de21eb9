use super::*;
use syncline_core::config::model::OneOrMany;

const BODY: &[u8] = br#"{"type":"contact.updated","id":"7"}"#;
const NOW_S: i64 = 1_790_000_000;
const NOW: i64 = NOW_S * 1_000_000;

fn webhook(signature: WebhookSignature, secrets: &[&str]) -> Webhook {
    Webhook {
        signature,
        secrets: OneOrMany::Many(secrets.iter().map(|secret| (*secret).to_owned()).collect()),
        address: Some("https://sync.example.com/hooks/crm".to_owned()),
        tolerance_s: None,
        records: Vec::new(),
    }
}

fn signed(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &parts.concat()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Headers = Vec<(&'static str, String)>;

fn verify(webhook: &Webhook, headers: &Headers, body: &[u8], now: i64) -> Result<(), Refusal> {
    let header = |name: &str| {
        headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    };
    Verifier::new(webhook).unwrap().verify(&header, body, now)
}

/// The headers of a message that is as it should be, signed with `secret`.
fn headers(signature: WebhookSignature, secret: &[u8], body: &[u8]) -> Headers {
    let (time, time_ms) = (NOW_S.to_string(), (NOW_S * 1000).to_string());
    match signature {
        WebhookSignature::Standard => {
            let mac = signed(secret, &[b"msg_1.", time.as_bytes(), b".", body]);
            let signature = format!("v2,unknown v1,{}", STANDARD.encode(mac));
            vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", time),
                ("webhook-signature", signature),
            ]
        }
        WebhookSignature::Github => {
            vec![("x-hub-signature-256", format!("sha256={}", hex(&signed(secret, &[body]))))]
        }
        WebhookSignature::Notion => {
            vec![("x-notion-signature", format!("sha256={}", hex(&signed(secret, &[body]))))]
        }
        WebhookSignature::Hubspot => {
            let address = b"https://sync.example.com/hooks/crm";
            let mac = signed(secret, &[b"POST", address, body, time_ms.as_bytes()]);
            vec![
                ("x-hubspot-request-timestamp", time_ms),
                ("x-hubspot-signature-v3", STANDARD.encode(mac)),
            ]
        }
        WebhookSignature::Stripe => {
            let mac = hex(&signed(secret, &[time.as_bytes(), b".", body]));
            vec![("stripe-signature", format!("t={time},v1={},v1={mac},v0=00", "00".repeat(32)))]
        }
    }
}

const ALL: [WebhookSignature; 5] = [
    WebhookSignature::Standard,
    WebhookSignature::Github,
    WebhookSignature::Hubspot,
    WebhookSignature::Notion,
    WebhookSignature::Stripe,
];

/// Those that sign a time along.
const TIMED: [WebhookSignature; 3] =
    [WebhookSignature::Standard, WebhookSignature::Hubspot, WebhookSignature::Stripe];

#[test]
fn what_is_signed_as_declared_is_taken_with_either_secret_while_one_replaces_the_other() {
    for signature in ALL {
        let good = headers(signature, b"old secret", BODY);
        for secrets in [&["old secret"][..], &["new secret", "old secret"]] {
            let taken = verify(&webhook(signature, secrets), &good, BODY, NOW);
            assert!(taken.is_ok(), "{signature:?} {taken:?}");
        }
        let gone = verify(&webhook(signature, &["new secret"]), &good, BODY, NOW);
        assert_eq!(gone, Err(Refusal::Forged), "{signature:?}");
    }
}

#[test]
fn what_is_changed_cut_or_written_anew_is_refused() {
    for signature in ALL {
        let (good, webhook) =
            (headers(signature, b"secret", BODY), webhook(signature, &["secret"]));
        let spaced = br#"{"type": "contact.updated", "id": "7"}"#;
        let longer = [BODY, b" "].concat();
        for body in [&BODY[..BODY.len() - 1], spaced, &longer, b""] {
            let taken = verify(&webhook, &good, body, NOW);
            assert_eq!(taken, Err(Refusal::Forged), "{signature:?}");
        }
    }
}

#[test]
fn what_is_signed_in_another_way_or_not_at_all_is_refused() {
    for signature in ALL {
        let webhook = webhook(signature, &["secret"]);
        for other in ALL.into_iter().filter(|other| *other != signature) {
            let taken = verify(&webhook, &headers(other, b"secret", BODY), BODY, NOW);
            assert!(matches!(taken, Err(Refusal::NoHeader(_))), "{signature:?} {other:?}");
        }
        let good = headers(signature, b"secret", BODY);
        for missing in 0..good.len() {
            let mut headers = good.clone();
            headers.remove(missing);
            let taken = verify(&webhook, &headers, BODY, NOW);
            assert!(matches!(taken, Err(Refusal::NoHeader(_))), "{signature:?} {taken:?}");
        }
        for wrong in ["", "v1,", "sha1=00", "sha256=zz", "t=x,v1=00", "none", "sha256=é"] {
            let mut headers = good.clone();
            headers.last_mut().unwrap().1 = wrong.to_owned();
            assert!(verify(&webhook, &headers, BODY, NOW).is_err(), "{signature:?} {wrong}");
        }
    }
}

#[test]
fn what_was_not_signed_just_now_is_refused_as_is_a_time_that_was_not_signed() {
    let within = 300 * 1_000_000;
    for signature in TIMED {
        let (good, webhook) =
            (headers(signature, b"secret", BODY), webhook(signature, &["secret"]));
        for now in [NOW - within, NOW + within] {
            assert!(verify(&webhook, &good, BODY, now).is_ok(), "{signature:?}");
        }
        for now in [NOW - within - 1, NOW + within + 1, 0, i64::MAX] {
            let taken = verify(&webhook, &good, BODY, now);
            assert_eq!(taken, Err(Refusal::NotNow), "{signature:?}");
        }
        let later = good.iter().map(|(name, value)| {
            let value = value.replace(&NOW_S.to_string(), &(NOW_S + 9).to_string());
            (*name, value)
        });
        let taken = verify(&webhook, &later.collect(), BODY, NOW);
        assert_eq!(taken, Err(Refusal::Forged), "{signature:?}");
    }
}

#[test]
fn secrets_of_standard_webhooks_are_base64_and_an_example_of_theirs_is_taken() {
    // From the specification's reference library.
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let webhook = webhook(WebhookSignature::Standard, &[secret]);
    let headers = vec![
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()),
        ("webhook-timestamp", "1614265330".to_owned()),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()),
    ];
    let taken = verify(&webhook, &headers, br#"{"test": 2432232314}"#, 1_614_265_330_000_000);
    assert!(taken.is_ok(), "{taken:?}");
    for (secret, expected) in [("whsec_%", "Base64"), ("whsec_", "empty secret")] {
        let bad = Verifier::new(&self::webhook(WebhookSignature::Standard, &[secret])).err();
        assert!(bad.unwrap().contains(expected), "{secret}");
    }
}

#[test]
fn a_token_to_set_a_webhook_up_with_is_taken_from_notion_alone() {
    let token = |signature, body: &[u8]| {
        Verifier::new(&webhook(signature, &["secret"])).unwrap().token(body)
    };
    let body = br#"{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}"#;
    let taken = token(WebhookSignature::Notion, body);
    assert_eq!(taken.as_deref(), Some("secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"));
    for other in ALL.into_iter().filter(|other| *other != WebhookSignature::Notion) {
        assert_eq!(token(other, body), None, "{other:?}");
    }
    let long = format!(r#"{{"verification_token":"{}"}}"#, "x".repeat(201));
    let screen = br#"{"verification_token":"\u001b[2J"}"#;
    for body in [&b"{}"[..], b"[1]", b"no", long.as_bytes(), screen] {
        assert_eq!(token(WebhookSignature::Notion, body), None, "{body:?}");
    }
}
