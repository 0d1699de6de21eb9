//! Where requests may go. Addresses come from users, so the program could be made to speak to what only it can
//! reach: its own machine, or its neighbours. Addresses are looked at after names were resolved, and those very
//! addresses are connected to; redirects are followed one by one, each looked at like the first.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, USER_AGENT,
};
use reqwest::{Method, StatusCode, Url};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

const REDIRECTS_MAX: usize = 10;
/// The headers that go along to another origin: none that could name anybody.
const HARMLESS: [HeaderName; 4] = [ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT];

/// Which addresses requests may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those that the whole world can reach.
    Public,
    /// These, and the machine itself.
    Loopback,
    /// All.
    Everywhere,
}

impl Reach {
    fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Loopback => is_public(address) || plain(address).is_loopback(),
            Self::Public => is_public(address),
        }
    }

    fn check(self, url: &Url) -> Result<(), Failed> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failed::refused(format!("`{}` is no scheme of the web", url.scheme())));
        }
        // What stands for an address as text never comes to the resolver.
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) if !self.allows(address) => Err(Failed::refused(private(host))),
            _ => Ok(()),
        }
    }
}

fn private(host: &str) -> String {
    format!(
        "{host} is a private address, which connections may not ask unless they are set to: \
         `allow_private: true` among the settings, or `--allow-private`"
    )
}

/// An IPv4 address in the clothes of an IPv6 one, as itself.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let [first, second, third, .., high, low] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::from(Ipv4Addr::new(a, b, c, d))
    };
    match (first, second) {
        // NAT64, and the old automatic tunnels.
        (0x64, 0xff9b) => v4(high, low),
        (0x2002, _) => v4(second, third),
        _ => address,
    }
}

/// Whether an address is one that the whole world can reach (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let is_special = match a {
        0 => true,
        100 => (64..128).contains(&b),
        192 => (b, c) == (0, 0),
        198 => b == 18 || b == 19,
        _ => a >= 240,
    };
    !(is_special
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation())
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let first = v6.segments()[0];
    let is_local = (first & 0xfe00) == 0xfc00 || (0xfe80..=0xfeff).contains(&first);
    !(is_local || v6.is_loopback() || v6.is_unspecified() || v6.is_multicast())
}

struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (allowed, refused): (Vec<_>, Vec<_>) =
                found.partition(|address| reach.allows(address.ip()));
            if allowed.is_empty() && !refused.is_empty() {
                return Err(private(name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Why no response came.
#[derive(Debug)]
pub(super) struct Failed {
    problem: String,
    /// Whether trying again is of no use.
    pub(super) is_refused: bool,
    /// Whether any of the request may have left.
    pub(super) was_sent: bool,
}

impl Failed {
    fn refused(problem: String) -> Self {
        Self { problem, is_refused: true, was_sent: false }
    }

    /// The error without the address, which may hold credentials, and with what caused it.
    pub(super) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let was_sent = !(error.is_connect() || error.is_builder());
        let mut problem = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            problem = format!("{problem}: {cause}");
            source = cause.source();
        }
        let is_refused = problem.contains(" is a private address, which ");
        Self { problem, is_refused, was_sent }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

/// Sends requests to where they may go.
#[derive(Clone)]
pub(super) struct Client {
    inner: reqwest::Client,
    reach: Reach,
}

impl Client {
    pub(super) fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        let inner = crate::http::client()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Resolver(reach)))
            .build()?;
        Ok(Self { inner, reach })
    }

    pub(super) fn request(&self, method: Method, url: impl reqwest::IntoUrl) -> Request {
        Request { builder: self.inner.request(method, url), client: self.clone() }
    }

    pub(super) fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }
}

/// A request in the making.
pub(super) struct Request {
    builder: reqwest::RequestBuilder,
    client: Client,
}

impl Request {
    pub(super) fn headers(self, headers: HeaderMap) -> Self {
        Self { builder: self.builder.headers(headers), ..self }
    }

    pub(super) fn header(self, name: impl AsRef<str>, value: &str) -> Self {
        Self { builder: self.builder.header(name.as_ref(), value), ..self }
    }

    pub(super) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self { builder: self.builder.body(body), ..self }
    }

    pub(super) fn timeout(self, timeout: Duration) -> Self {
        Self { builder: self.builder.timeout(timeout), ..self }
    }

    /// Sends it to where it is meant to go, and nowhere else: a redirect is an answer.
    pub(super) async fn send_once(self) -> Result<reqwest::Response, Failed> {
        let request = self.builder.build().map_err(Failed::of)?;
        self.client.reach.check(request.url())?;
        self.client.inner.execute(request).await.map_err(Failed::of)
    }

    /// Sends it, and whatever the answer redirects it to.
    pub(super) async fn send(self) -> Result<reqwest::Response, Failed> {
        let mut request = self.builder.build().map_err(Failed::of)?;
        for _ in 0..=REDIRECTS_MAX {
            self.client.reach.check(request.url())?;
            let again = request.try_clone();
            let response = self.client.inner.execute(request).await.map_err(Failed::of)?;
            let location = response.headers().get(LOCATION).filter(|_| is_redirect(&response));
            let (Some(location), Some(again)) = (location, again) else { return Ok(response) };
            request = redirected(again, response.status(), location)?;
        }
        Err(Failed::refused(format!("the API redirects more than {REDIRECTS_MAX} times")))
    }
}

fn is_redirect(response: &reqwest::Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The request that a redirect asks for (RFC 9110, 15.4). What could name anybody stays with its origin.
fn redirected(
    mut request: reqwest::Request,
    status: StatusCode,
    location: &HeaderValue,
) -> Result<reqwest::Request, Failed> {
    let bad = || Failed::refused("the API redirects to what is no address".to_owned());
    let location = location.to_str().map_err(|_| bad())?;
    let next = request.url().join(location).map_err(|_| bad())?;
    let becomes_get = match status.as_u16() {
        303 => request.method() != Method::HEAD,
        301 | 302 => request.method() == Method::POST,
        _ => false,
    };
    let crosses = next.origin() != request.url().origin();
    if becomes_get {
        *request.method_mut() = Method::GET;
        *request.body_mut() = None;
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
            request.headers_mut().remove(name);
        }
    } else if crosses && request.body().is_some() {
        return Err(Failed::refused(
            "the API redirects what was sent to it to another origin".to_owned(),
        ));
    }
    if crosses {
        let kept = std::mem::take(request.headers_mut()).into_iter();
        let kept = kept.filter_map(|(name, value)| Some((name?, value)));
        *request.headers_mut() = kept.filter(|(name, _)| HARMLESS.contains(name)).collect();
    }
    *request.url_mut() = next;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_world_can_reach_is_public() {
        let public =
            ["1.1.1.1", "93.184.216.34", "100.63.0.1", "2606:4700::1111", "::ffff:8.8.8.8"];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        let private = [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fec0::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_address_in_another_spelling_is_the_same_address() {
        let spellings =
            ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/"];
        for url in spellings {
            let url = Url::parse(url).unwrap();
            assert!(Reach::Public.check(&url).is_err(), "{url}");
            assert!(Reach::Loopback.check(&url).is_ok(), "{url}");
        }
        assert!(Reach::Loopback.check(&Url::parse("http://169.254.169.254/").unwrap()).is_err());
        assert!(Reach::Everywhere.check(&Url::parse("http://10.1.1.1/").unwrap()).is_ok());
        assert!(Reach::Everywhere.check(&Url::parse("file:///etc/passwd").unwrap()).is_err());
    }
}
