//! Where the admin API and the health listener can be reached, and by whom.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use gateway_admin::{
    AdminOptions, AllowedHosts, Control, ServeLimits, Token, TokenError, health_router, router,
    serve,
};
use gateway_core::config::{Certificate, CertificateSource, Secret};
use gateway_net::certificates::{self, CertificateError};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::{AdminAddress, AdminArgs};

/// Bound sockets of the API and of the health listener.
pub(crate) struct AdminListener {
    socket: Socket,
    health: Option<TcpListener>,
    options: AdminOptions,
    certificate: Option<Arc<AdminCertificate>>,
    tls: Option<TlsAcceptor>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Why the API cannot be offered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminListenError {
    /// Everybody on the network could change the gateway.
    #[error(
        "the admin API on {address} could be reached from the network: add {missing}, or listen on \
         127.0.0.1 or unix:PATH"
    )]
    Open {
        /// Where.
        address: SocketAddr,
        /// The options that are wanting.
        missing: String,
    },
    /// The token cannot be used.
    #[error("--admin-token-file cannot be used")]
    Token(#[from] TokenError),
    /// The certificate cannot be used.
    #[error("--admin-cert {} cannot be used", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CertificateError,
    },
    /// The TLS library refuses.
    #[error("TLS for the admin API cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {reason}; choose another address with {option}")]
    Bind {
        /// Where.
        address: String,
        /// The system's word.
        reason: String,
        /// Which option names it.
        option: &'static str,
    },
}

impl AdminListener {
    /// Binds what `arguments` ask for.
    pub(crate) async fn bind(arguments: &AdminArgs) -> Result<Self, AdminListenError> {
        refuse_open_door(arguments)?;
        let token = arguments
            .token_file
            .as_deref()
            .map(Token::read)
            .transpose()?;
        let certificate = arguments.certificate.as_deref().map(AdminCertificate::load);
        let certificate = certificate.transpose()?.map(Arc::new);
        let tls = certificate.as_ref().map(tls_acceptor).transpose()?;
        let mut options = AdminOptions {
            token,
            ..AdminOptions::default()
        };
        let socket = match &arguments.address {
            AdminAddress::Tcp(address) => {
                options.hosts = AllowedHosts::Listed {
                    listen: Some(address.ip()),
                    names: arguments.hosts.clone(),
                };
                Socket::Tcp(bind_tcp(*address, "--admin").await?)
            }
            AdminAddress::Unix(path) => {
                options.hosts = AllowedHosts::Any;
                let (listener, file) = bind_unix(path).map_err(|error| AdminListenError::Bind {
                    address: arguments.address.to_string(),
                    reason: error.to_string(),
                    option: "--admin",
                })?;
                Socket::Unix(listener, file)
            }
        };
        let health = match arguments.health {
            Some(address) => Some(bind_tcp(address, "--health").await?),
            None => None,
        };
        Ok(Self {
            socket,
            health,
            options,
            certificate,
            tls,
        })
    }

    /// The certificate, to be read again on SIGHUP.
    pub(crate) fn certificate(&self) -> Option<Arc<AdminCertificate>> {
        self.certificate.clone()
    }

    /// Serves the health listener, if there is one, until `shutdown`, in `tasks`.
    pub(crate) fn serve_health<C: Control>(
        &mut self,
        control: &Arc<C>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let Some(listener) = self.health.take() else {
            return;
        };
        log_listening("health", listener.local_addr());
        let router = health_router(Arc::clone(control));
        let limits = ServeLimits::default();
        tasks.spawn(serve(listener, None, router, limits, shutdown.clone()));
    }

    /// Serves the API until `shutdown`, in `tasks`.
    pub(crate) fn serve<C: Control>(
        self,
        control: &Arc<C>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let limits = ServeLimits::default();
        let router = router(Arc::clone(control), self.options);
        let shutdown = shutdown.clone();
        match self.socket {
            Socket::Tcp(listener) => {
                log_listening("admin", listener.local_addr());
                tasks.spawn(serve(listener, self.tls, router, limits, shutdown));
            }
            Socket::Unix(listener, file) => {
                tracing::info!(address = %file.0.display(), "admin API listens");
                tasks.spawn(async move {
                    serve(listener, self.tls, router, limits, shutdown).await;
                    drop(file);
                });
            }
        }
    }
}

fn log_listening(what: &'static str, address: io::Result<SocketAddr>) {
    if let Ok(address) = address {
        tracing::info!(what, %address, "listens");
    }
}

/// A token without TLS could be read on the way, TLS without a token lets everybody in.
fn refuse_open_door(arguments: &AdminArgs) -> Result<(), AdminListenError> {
    let AdminAddress::Tcp(address) = &arguments.address else {
        return Ok(());
    };
    if address.ip().is_loopback() {
        return Ok(());
    }
    let token = arguments
        .token_file
        .is_none()
        .then_some("--admin-token-file FILE");
    let certificate = arguments
        .certificate
        .is_none()
        .then_some("--admin-cert FILE");
    let missing: Vec<_> = token.into_iter().chain(certificate).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(AdminListenError::Open {
        address: *address,
        missing: missing.join(" and "),
    })
}

async fn bind_tcp(
    address: SocketAddr,
    option: &'static str,
) -> Result<TcpListener, AdminListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| AdminListenError::Bind {
            address: address.to_string(),
            reason: if error.kind() == io::ErrorKind::AddrInUse {
                "another process listens there".to_owned()
            } else {
                error.to_string()
            },
            option,
        })
}

/// A socket in the file system, removed when the API ends.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket stays");
        }
    }
}

/// Binds under another name first, so that the socket is its owner's alone when it appears, and
/// takes the place of one that a crash left behind, but of nothing else.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let is_other = |found: fs::Metadata| !found.file_type().is_socket();
    if fs::symlink_metadata(path).is_ok_and(is_other) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is no socket is there",
        ));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens there",
        ));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&unfinished)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    fs::rename(&unfinished, path)?;
    Ok((listener, SocketFile(path.to_owned())))
}

/// The API's certificate; [`AdminCertificate::reload`] puts a new one in its place.
#[derive(Debug)]
pub(crate) struct AdminCertificate {
    path: PathBuf,
    key: RwLock<Arc<CertifiedKey>>,
}

impl AdminCertificate {
    fn load(path: &Path) -> Result<Self, AdminListenError> {
        Ok(Self {
            path: path.to_owned(),
            key: RwLock::new(load_key(path)?),
        })
    }

    /// Reads the file again; a bad one leaves the old certificate in use.
    pub(crate) fn reload(&self) {
        match load_key(&self.path) {
            Ok(key) => *self.key.write().unwrap_or_else(PoisonError::into_inner) = key,
            Err(error) => {
                let reason = crate::document::chain(&error);
                tracing::error!(reason, "the admin API keeps its old certificate");
            }
        }
    }
}

impl ResolvesServerCert for AdminCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&key))
    }
}

fn load_key(path: &Path) -> Result<Arc<CertifiedKey>, AdminListenError> {
    let certificate = Certificate {
        source: CertificateSource::File {
            path: path.to_owned(),
            password: Secret::new([]),
        },
    };
    certificates::load(&certificate)
        .map(|loaded| loaded.key)
        .map_err(|source| AdminListenError::Certificate {
            path: path.to_owned(),
            source,
        })
}

fn tls_acceptor(certificate: &Arc<AdminCertificate>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(certificate) as Arc<dyn ResolvesServerCert>);
    Ok(TlsAcceptor::from(Arc::new(config)))
}
