//! [`client_settings`]: the setters that the builder of every remote part has.

/// The setters of a builder's field `client`, a [`ClientConfig`](super::config::ClientConfig), but for the
/// base URL, the key and the time-out, whose defaults each part tells of.
macro_rules! client_settings {
    () => {
        /// A further header of every request, such as `OpenAI-Organization` or Azure's `api-key`. Its
        /// value is kept as secret as the key.
        pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.client.headers.push((name.into(), value.into()));
            self
        }

        /// The `User-Agent` of the requests; `imagerag/` and the version by default.
        pub fn user_agent(mut self, name: impl Into<String>) -> Self {
            self.client.user_agent = name.into();
            self
        }

        /// The proxy that every request goes through: an `http` or `https` URL, with a login if the
        /// proxy needs one, which is kept as secret as the key. By default what the environment
        /// variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, and none to a service
        /// on this machine or beside it: a loopback, private, link-local or unspecified address,
        /// `localhost`, a name without a dot, or one under `.local`, `.localhost` or
        /// `.docker.internal`. Errors name the proxy.
        ///
        /// ```
        /// # use imagerag::vlm::OpenAiVlm;
        /// let vlm = OpenAiVlm::builder("gpt-4o").proxy("http://user:password@proxy.example:3128");
        /// assert!(vlm.build().is_ok());
        /// ```
        pub fn proxy(mut self, url: impl Into<String>) -> Self {
            self.client.transport.proxy = crate::net::transport::ProxyChoice::At(url.into());
            self
        }

        /// Goes through no proxy, whatever the environment says.
        pub fn no_proxy(mut self) -> Self {
            self.client.transport.proxy = crate::net::transport::ProxyChoice::Direct;
            self
        }

        /// Trusts the certificates of `pem`, the bytes of a PEM file with one or more of them, beside
        /// those of the system: for a service whose certificate an authority of your own has signed.
        /// May be called several times. Not on macOS, where the system's certificates are the only
        /// ones.
        ///
        /// ```no_run
        /// # use imagerag::vlm::OpenAiVlm;
        /// let vlm = OpenAiVlm::builder("Qwen/Qwen2.5-VL-7B-Instruct")
        ///     .base_url("https://vlm.internal/v1")
        ///     .root_certificate(std::fs::read("company-ca.pem")?)
        ///     .identity(std::fs::read("client.pem")?)
        ///     .build()?;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
            self.client.transport.root_certificates.push(pem.into());
            self
        }

        /// The certificate by which the service knows you (mutual TLS): the bytes of a PEM file with
        /// the certificate, those between it and the authority, and its private key.
        pub fn identity(mut self, pem: impl Into<Vec<u8>>) -> Self {
            self.client.transport.identity = Some(pem.into());
            self
        }

        /// How often a call is repeated after a transient error; 2 times by default.
        pub const fn max_retries(mut self, retries: u32) -> Self {
            self.client.retry.max_retries = retries;
            self
        }

        /// The wait before the first retry, doubled with each further one; 500 ms by default.
        pub const fn first_wait(mut self, wait: std::time::Duration) -> Self {
            self.client.retry.first_wait = wait;
            self
        }

        /// The longest wait between two attempts; a service that asks for more with `Retry-After` is not
        /// asked again. One minute by default.
        pub const fn max_wait(mut self, wait: std::time::Duration) -> Self {
            self.client.retry.max_wait = wait;
            self
        }
    };
}

pub(crate) use client_settings;
