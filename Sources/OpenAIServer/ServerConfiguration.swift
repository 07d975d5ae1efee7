/// How a server listens and what it allows.
public struct ServerConfiguration: Sendable {
    /// A certificate and its key, in PEM files.
    public struct TLS: Sendable, Hashable {
        /// The certificate, followed by those that vouch for it.
        public var certificate: String
        /// Its private key.
        public var key: String

        /// Two files.
        public init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// The address that is listened on.
    public var host = "127.0.0.1"
    /// The port; 0 takes a free one.
    public var port = 8000
    /// Keys of the API; without any, everybody may ask.
    public var apiKeys: [String] = []
    /// A certificate; without one, connections are plain.
    public var tls: TLS?
    /// The most bytes of a request's body.
    public var maxBodySize = 2 << 20
    /// The most connections at once; more wait in the system's queue.
    public var maxConnections = 1024
    /// Seconds that a request may take to arrive, and that an idle connection is kept.
    public var headerTimeout = 30
    /// Seconds that an answer may take, waiting included.
    public var requestTimeout = 600
    /// Seconds that a client may take to read a piece.
    public var writeTimeout = 60
    /// Seconds between comments in a stream while nothing is ready.
    public var keepAlive = 15.0
    /// Seconds that running answers have left when the server is told to end.
    public var drainTimeout = 30
    /// The version that is told.
    public var version: String

    /// The defaults; nobody outside this machine can connect.
    public init(version: String) { self.version = version }
}
