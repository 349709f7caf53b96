/** TLS towards clients. */
import { constants, type X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { type SecureContextOptions, TLSSocket, type TLSSocketOptions } from "node:tls";
import { durationToMs } from "@meltemi/protos";
import type { CommonTlsContext, DownstreamTlsContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import type { CertificateInfo, TlsInfo } from "../listeners/connection.ts";
import { buildCertificateInfo } from "./certificate-info.ts";
import type { HandshakeLine } from "./handshake-line.ts";
import { readKeyPair } from "./key-pair.ts";
import { type Hello, peekClientHello } from "./peek-client-hello.ts";
import { compilePeerVerifier, findPlatformError, type PeerVerifier, type Verdict } from "./peer-verifier.ts";
import { buildServerContexts, deriveTicketKeys, nameSessionContext, type ServerContexts } from "./server-contexts.ts";
import { createVerifyError, describeTlsError, TlsError } from "./tls-error.ts";
import { buildTlsInfo } from "./tls-info.ts";
import { compileTlsParams } from "./tls-params.ts";
import {
  openTlsSecrets,
  readDataSource,
  type TlsMaterial,
  type TlsSecrets,
  type TlsSecretsEnv,
} from "./tls-secrets.ts";
import { createTlsStats, type TlsStats } from "./tls-stats.ts";
import type { DownstreamTls } from "./types.ts";

export interface DownstreamTlsEnv extends TlsSecretsEnv {
  /** "listener.ADDRESS_PORT." */
  readonly listenerStats: Stats;
  readonly handshakes: HandshakeLine;
}

/** Envoy's for sessions: two hours. */
const sessionSeconds = 7200;

/** Compiles the context of a filter chain. Throws ConfigError; also later, out of a secret's change that cannot be used. */
export function compileDownstreamTls(wire: DownstreamTlsContext, env: DownstreamTlsEnv): DownstreamTls {
  refuseUnknown(wire);
  const common = wire.common_tls_context ?? {};
  const params = within("common_tls_context", () => compileTlsParams(common.tls_params, "server"));
  const sessions = compileSessions(wire);
  return within("common_tls_context", () => {
    checkCertificates(common);
    const secrets = openTlsSecrets(common, env);
    const build = (material: TlsMaterial) => buildState(material, { ...params, ...sessions });
    return new ServerTls(wire, {
      secrets,
      build,
      stats: createTlsStats(env.listenerStats),
      handshakes: env.handshakes,
    });
  });
}

/** What a client has shown. */
interface Shown {
  readonly sni: string;
  readonly peer: X509Certificate | undefined;
}

interface ServerState {
  readonly contexts: ServerContexts;
  readonly verifier: PeerVerifier;
  /** The certificate that is shown to everybody; undefined where there are several. */
  readonly local: CertificateInfo | undefined;
}

interface ServerParts {
  readonly secrets: TlsSecrets;
  readonly stats: TlsStats;
  readonly handshakes: HandshakeLine;
  build(material: TlsMaterial): ServerState;
}

class ServerTls implements DownstreamTls {
  readonly ready: Promise<void>;
  readonly #parts: ServerParts;
  readonly #alpn: readonly string[];
  readonly #requiresCertificate: boolean;
  readonly #mustName: boolean;
  #state: ServerState | undefined;

  constructor(wire: DownstreamTlsContext, parts: ServerParts) {
    this.#parts = parts;
    this.#alpn = wire.common_tls_context?.alpn_protocols ?? [];
    this.#requiresCertificate = wire.require_client_certificate?.value === true;
    this.#mustName = wire.require_sni?.value === true;
    this.ready = parts.secrets.ready;
    parts.secrets.onChange(() => this.#rebuild());
    try {
      this.#rebuild();
    } catch (cause: unknown) {
      parts.secrets.close();
      throw cause;
    }
  }

  async accept(socket: Duplex): Promise<{ readonly stream: Duplex; readonly info: TlsInfo }> {
    const { stats } = this.#parts;
    try {
      return await this.#shakeHands(socket);
    } catch (cause: unknown) {
      const error = describeTlsError(cause);
      stats.countFailure(error);
      throw error;
    }
  }

  close(): void {
    this.#parts.secrets.close();
  }

  #rebuild(): void {
    const material = this.#parts.secrets.find();
    if (material) this.#state = this.#parts.build(material);
  }

  async #shakeHands(socket: Duplex): Promise<{ readonly stream: Duplex; readonly info: TlsInfo }> {
    const state = this.#state;
    if (state === undefined) throw new TlsError("TLS error: Secret is not supplied by SDS");
    const hello = await peekClientHello(socket);
    const stream = await this.#answer(socket, state, hello);
    refuseRenegotiation(stream);
    // The platform forgets the name where a session is resumed.
    const sni = hello?.sni ?? "";
    const peer = stream.getPeerX509Certificate();
    const problem = this.#findProblem(stream, state, { sni, peer });
    if (problem.error) {
      stream.destroy();
      throw problem.error;
    }
    this.#parts.stats.countHandshake(stream, peer !== undefined);
    const { local } = state;
    return { stream, info: buildTlsInfo({ socket: stream, sni, peer, isPeerVerified: problem.isVerified, local }) };
  }

  async #answer(socket: Duplex, state: ServerState, hello: Hello | undefined): Promise<TLSSocket> {
    let stream: TLSSocket | undefined;
    const leave = await this.#parts.handshakes.enter(() => stream?.destroy(createSlowError()));
    try {
      // Nobody would tell of the end once TLS reads from the socket.
      if (socket.readableEnded || socket.destroyed) throw createLeaveError();
      stream = new TLSSocket(socket, this.#buildOptions(state, hello));
      await waitForHandshake(stream, socket);
      return stream;
    } finally {
      leave();
    }
  }

  #buildOptions({ contexts, verifier }: ServerState, hello: Hello | undefined): TLSSocketOptions {
    const isAlpnShared = this.#alpn.some((protocol) => hello?.alpn.includes(protocol));
    return {
      isServer: true,
      // Chosen here, because the platform's callback for it costs a second pass through the handshake.
      secureContext: (hello && contexts.find(hello.sni)) ?? contexts.fallback,
      requestCert: verifier.asks || this.#requiresCertificate,
      // Judged after the handshake, by more than the platform looks at.
      rejectUnauthorized: false,
      // The platform would refuse a client that offers none of these; Envoy goes on without a protocol.
      ...(isAlpnShared && { ALPNProtocols: [...this.#alpn] }),
    };
  }

  #findProblem(stream: TLSSocket, { verifier }: ServerState, { sni, peer }: Shown): Verdict {
    if (this.#mustName && sni === "")
      return { error: new TlsError("TLS_error: server name required"), isVerified: false };
    if (peer) return verifier.verify(peer, findPlatformError(stream));
    if (!this.#requiresCertificate && !verifier.mustShow) return { error: undefined, isVerified: false };
    return { error: createVerifyError("fail_verify_no_cert", ""), isVerified: false };
  }
}

function buildState({ certificates, validation }: TlsMaterial, options: SecureContextOptions): ServerState {
  const pairs = compileAll("tls_certificates", certificates, readKeyPair);
  const verifier = within("validation_context", () => compilePeerVerifier(validation));
  const shown = pairs.map(({ certificate }) => certificate?.fingerprint256 ?? "");
  const whole = {
    ...options,
    ...verifier.contextOptions,
    ...(verifier.needsWholeChain && { secureOptions: constants.SSL_OP_NO_TICKET }),
    sessionIdContext: nameSessionContext([shown, verifier.contextOptions.ca, validation]),
  };
  const [first] = pairs;
  const local = pairs.length === 1 && first?.certificate ? buildCertificateInfo(first.certificate) : undefined;
  return { contexts: buildServerContexts(pairs, whole), verifier, local };
}

/** Resolves when hands are shaken; rejects with what the platform says, or where the client leaves before. */
function waitForHandshake(stream: TLSSocket, socket: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(createLeaveError());
    stream.once("secure", () => {
      stream.off("end", leave);
      stream.off("close", leave);
      socket.off("end", leave);
      // As the platform's own TLS server does: HTTP/2 waits for it.
      Object.assign(stream, { secureConnecting: false });
      resolve();
    });
    stream.once("_tlsError", reject);
    // Stays: an error after the handshake has its own listeners, and must not end the process without them.
    stream.on("error", reject);
    // Sockets of listeners stay open for writing when the client has ended its side: nothing else tells of it.
    stream.once("end", leave);
    stream.once("close", leave);
    // An end that came while the hello waited for its turn is told there, when that has been read.
    socket.once("end", leave);
  });
}

function createLeaveError(): TlsError {
  return new TlsError("connection closed during the handshake");
}

function createSlowError(): TlsError {
  return new TlsError("handshake given up while others waited");
}

/** A second handshake costs a server more than a client (CVE-2011-1473); Envoy ends the connection, too. */
function refuseRenegotiation(stream: TLSSocket): void {
  stream.disableRenegotiation();
  stream.once("_tlsError", () => stream.destroy());
}

function compileSessions(wire: DownstreamTlsContext): SecureContextOptions {
  if (wire.session_ticket_keys_sds_secret_config) {
    throw new ConfigError("session_ticket_keys_sds_secret_config", "is not implemented");
  }
  const [key] = wire.session_ticket_keys?.keys ?? [];
  // Without tickets nothing is resumed: sessions are not kept here, which costs handshakes and changes no answer.
  const isWithoutTickets = wire.disable_stateless_session_resumption === true;
  const seconds = wire.session_timeout ? durationToMs(wire.session_timeout) / 1000 : sessionSeconds;
  return {
    sessionTimeout: Math.max(1, Math.floor(seconds)),
    ...(isWithoutTickets && { secureOptions: constants.SSL_OP_NO_TICKET }),
    ...(key && { ticketKeys: within("session_ticket_keys.keys[0]", () => deriveTicketKeys(readDataSource(key))) }),
  };
}

/** ocsp_staple_policy: staples are not sent, which only MUST_STAPLE and STRICT_STAPLING would notice. */
function refuseUnknown({ ocsp_staple_policy: policy }: DownstreamTlsContext): void {
  if (policy === undefined || policy === "LENIENT_STAPLING") return;
  throw new ConfigError("ocsp_staple_policy", `${policy} is not implemented`);
}

function checkCertificates(common: CommonTlsContext): void {
  const { tls_certificates = [], tls_certificate_sds_secret_configs: configs = [] } = common;
  if (tls_certificates.length + configs.length > 0 || common.tls_certificate_provider_instance) return;
  throw new ConfigError("", "No TLS certificates found for server context");
}
