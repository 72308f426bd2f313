//! Certificates, roots, profiles and policies.

use super::define::{choices, objects, resources};
use super::{Reference, SecretText};

resources! {
    /// `sslCertificates[]`: what Https listeners show.
    SslCertificate(SslCertificateProperties);
    /// `authenticationCertificates[]`: exact backend certificates of version 1. Not served.
    AuthenticationCertificate(AuthenticationCertificateProperties);
    /// `trustedRootCertificates[]`: what Https backends must chain to.
    TrustedRootCertificate(TrustedRootCertificateProperties);
    /// `trustedClientCertificates[]`: what clients' certificates must chain to. Not served yet.
    TrustedClientCertificate(TrustedClientCertificateProperties);
    /// `sslProfiles[]`: client authentication and TLS policy of listeners. Not served yet.
    SslProfile(SslProfileProperties);
}

objects! {
    /// Properties of a listener's certificate: `data` or `keyVaultSecretId`.
    SslCertificateProperties [read only: "publicCertData"] {
        /// A PFX container in base64. Write-only: never in an answer. A certificate that is put
        /// without it keeps the one it had.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, write_only))]
        data: SecretText = "data",
        /// The container's password. Write-only.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, write_only))]
        password: SecretText = "password",
        /// Extension: a `file:` URI to a PEM file with chain and key, or to a PFX file, which is
        /// read again when it changes. Key Vault itself is not served.
        key_vault_secret_id: String = "keyVaultSecretId",
    }
    /// Properties of an exact backend certificate.
    AuthenticationCertificateProperties {
        /// The certificate, in base64.
        data: String = "data",
    }
    /// Properties of a backend's root: `data` or `keyVaultSecretId`.
    TrustedRootCertificateProperties {
        /// One or more certificates, DER or PEM, in base64.
        data: String = "data",
        /// Extension: a `file:` URI to a PEM or DER file.
        key_vault_secret_id: String = "keyVaultSecretId",
    }
    /// Properties of a client root.
    TrustedClientCertificateProperties [read only: "validatedCertData", "clientCertIssuerDN"] {
        /// The certificates, in base64.
        data: String = "data",
    }
    /// Properties of a TLS profile.
    SslProfileProperties {
        /// Client roots.
        trusted_client_certificates: Vec<Reference> = "trustedClientCertificates",
        /// The profile's own policy.
        ssl_policy: SslPolicy = "sslPolicy",
        /// How clients are authenticated.
        client_auth_configuration: ClientAuthConfiguration = "clientAuthConfiguration",
    }
    /// `clientAuthConfiguration` of a TLS profile.
    ClientAuthConfiguration {
        /// The immediate issuer's name is compared.
        verify_client_cert_issuer_dn: bool = "verifyClientCertIssuerDN",
        /// Whether revocation is asked for.
        verify_client_revocation: ClientRevocation = "verifyClientRevocation",
        /// Whether a client without a good certificate is refused.
        verify_client_auth_mode: ClientAuthMode = "verifyClientAuthMode",
    }
    /// `sslPolicy`. Not served yet.
    SslPolicy {
        /// Which kind of policy.
        policy_type: SslPolicyType = "policyType",
        /// A predefined policy.
        policy_name: String = "policyName",
        /// The lowest version.
        min_protocol_version: TlsVersion = "minProtocolVersion",
        /// The suites, best first.
        cipher_suites: Vec<String> = "cipherSuites",
        /// Versions that are off.
        disabled_ssl_protocols: Vec<TlsVersion> = "disabledSslProtocols",
    }
}

choices! {
    /// Which kind of TLS policy.
    SslPolicyType {
        /// By name.
        Predefined = "Predefined",
        /// By suites.
        Custom = "Custom",
        /// By suites, with TLS 1.3.
        CustomV2 = "CustomV2",
    }
    /// A version of TLS.
    TlsVersion {
        /// 1.0.
        V1_0 = "TLSv1_0",
        /// 1.1.
        V1_1 = "TLSv1_1",
        /// 1.2.
        V1_2 = "TLSv1_2",
        /// 1.3.
        V1_3 = "TLSv1_3",
    }
    /// Whether a client certificate's revocation is asked for.
    ClientRevocation {
        /// No.
        None = "None",
        /// By OCSP.
        Ocsp = "OCSP",
    }
    /// Whether a client without a good certificate is refused.
    ClientAuthMode {
        /// Yes.
        Strict = "Strict",
        /// The backend decides.
        Passthrough = "Passthrough",
    }
}
