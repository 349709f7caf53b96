/** TLS towards hosts of clusters. */

import { constants, type X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect, type SecureContext, type TLSSocket } from "node:tls";
import type { UpstreamTlsContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import { wrappedNumber } from "../lib/wrapped.ts";
import type { TlsInfo } from "../listeners/connection.ts";
import { readKeyPair } from "./key-pair.ts";
import { compilePeerVerifier, findPlatformError, type PeerVerifier } from "./peer-verifier.ts";
import { buildContext } from "./server-contexts.ts";
import { createVerifyError, describeTlsError, TlsError } from "./tls-error.ts";
import { buildTlsInfo } from "./tls-info.ts";
import { compileTlsParams } from "./tls-params.ts";
import { openTlsSecrets, type TlsMaterial, type TlsSecrets, type TlsSecretsEnv } from "./tls-secrets.ts";
import { createTlsStats, type TlsStats } from "./tls-stats.ts";
import type { UpstreamTls } from "./types.ts";

export interface UpstreamTlsEnv extends TlsSecretsEnv {
  /** "cluster.NAME." */
  readonly stats: Stats;
}

type ConnectTlsOptions = Parameters<UpstreamTls["connect"]>[1];

/** Compiles the context of a cluster. Throws ConfigError; also later, out of a secret's change that cannot be used. */
export function compileUpstreamTls(wire: UpstreamTlsContext, env: UpstreamTlsEnv): UpstreamTls {
  if ((wire.sni ?? "").length > 255) throw new ConfigError("sni", "SNI names are at most 255 characters long");
  const common = wire.common_tls_context ?? {};
  return within("common_tls_context", () => {
    const params = compileTlsParams(common.tls_params, "client");
    if ((common.tls_certificates ?? []).length + (common.tls_certificate_sds_secret_configs ?? []).length > 1) {
      throw new ConfigError("tls_certificates", "Multiple TLS certificates are not supported for client contexts");
    }
    const secrets = openTlsSecrets(common, env);
    const build = (material: TlsMaterial): ClientState => {
      const pairs = compileAll("tls_certificates", material.certificates, readKeyPair);
      const verifier = within("validation_context", () => compilePeerVerifier(material.validation));
      // Built when first connected with: a mesh has more clusters than a proxy ever calls.
      let context: SecureContext | undefined;
      return {
        verifier,
        get context() {
          context ??= buildContext(pairs, {
            ...params,
            ...verifier.contextOptions,
            ...(wire.allow_renegotiation !== true && { secureOptions: constants.SSL_OP_NO_RENEGOTIATION }),
          });
          return context;
        },
        sessions: new Map(),
      };
    };
    return new ClientTls(wire, { secrets, build, stats: createTlsStats(env.stats) });
  });
}

interface ClientState {
  readonly context: SecureContext;
  readonly verifier: PeerVerifier;
  /** By server name: the newest that the server gave. */
  readonly sessions: Map<string, KeptSession>;
}

/** A server does not show its certificate again when it takes a session up: it is the one that the session began with. */
interface KeptSession {
  readonly session: Buffer;
  readonly peer: X509Certificate;
}

interface ClientParts {
  readonly secrets: TlsSecrets;
  readonly stats: TlsStats;
  build(material: TlsMaterial): ClientState;
}

class ClientTls implements UpstreamTls {
  readonly ready: Promise<void>;
  readonly #parts: ClientParts;
  readonly #sni: string;
  readonly #alpn: readonly string[];
  readonly #maxSessions: number;
  #state: ClientState | undefined;

  constructor(wire: UpstreamTlsContext, parts: ClientParts) {
    this.#parts = parts;
    this.#sni = wire.sni ?? "";
    this.#alpn = wire.common_tls_context?.alpn_protocols ?? [];
    this.#maxSessions = wrappedNumber(wire.max_session_keys, 1);
    this.ready = parts.secrets.ready;
    parts.secrets.onChange(() => this.#rebuild());
    try {
      this.#rebuild();
      // What comes with the configuration has to be usable at once.
      if (parts.secrets.isFixed) void this.#state?.context;
    } catch (cause: unknown) {
      parts.secrets.close();
      throw cause;
    }
  }

  async connect(
    socket: Socket,
    options: ConnectTlsOptions,
  ): Promise<{ readonly stream: Duplex; readonly info: TlsInfo }> {
    try {
      return await this.#shakeHands(socket, options);
    } catch (cause: unknown) {
      const error = describeTlsError(cause);
      this.#parts.stats.countFailure(error);
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

  async #shakeHands(
    socket: Socket,
    options: ConnectTlsOptions,
  ): Promise<{ readonly stream: Duplex; readonly info: TlsInfo }> {
    const state = this.#state;
    if (state === undefined) throw new TlsError("TLS error: Secret is not supplied by SDS");
    const sni = options.sni ?? this.#sni;
    const kept = state.sessions.get(sni);
    const stream = connect({
      ...this.#buildOptions(state, options),
      ...(kept && { session: kept.session }),
      ...nameServer(sni),
      socket,
    });
    // Asked once: for a client the platform takes the certificate out of the chain, and would give its issuer the next time.
    let found: X509Certificate | undefined;
    const findPeer = () => {
      found ??= stream.getPeerX509Certificate() ?? (stream.isSessionReused() ? kept?.peer : undefined);
      return found;
    };
    if (this.#maxSessions > 0 && !state.verifier.needsWholeChain) {
      stream.on("session", (session: Buffer) => {
        const peer = findPeer();
        if (peer) state.sessions.set(sni, { session, peer });
      });
    }
    await waitForHandshake(stream);
    const peer = findPeer();
    const verdict = peer
      ? state.verifier.verify(peer, findPlatformError(stream), options.sans)
      : { error: createVerifyError("fail_verify_no_cert", ""), isVerified: false };
    if (verdict.error) {
      state.sessions.delete(sni);
      stream.destroy();
      throw verdict.error;
    }
    this.#parts.stats.countHandshake(stream, peer !== undefined);
    return { stream, info: buildTlsInfo({ socket: stream, sni, peer, isPeerVerified: verdict.isVerified }) };
  }

  #buildOptions(state: ClientState, { alpn, fallbackAlpn }: ConnectTlsOptions): ConnectionOptions {
    const ownAlpn = this.#alpn.length > 0 ? this.#alpn : (fallbackAlpn ?? []);
    const protocols = alpn ?? ownAlpn;
    return {
      secureContext: state.context,
      // Judged after the handshake, by the configuration: the platform would compare the server's name.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(protocols.length > 0 && { ALPNProtocols: [...protocols] }),
    };
  }
}

/** The platform takes no addresses for names (RFC 6066 section 3 has none), and would otherwise make up one. */
function nameServer(sni: string): Pick<ConnectionOptions, "servername"> {
  return { servername: isIP(sni) === 0 ? sni : "" };
}

function waitForHandshake(stream: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("secureConnect", () => resolve());
    // Stays: an error after the handshake has its own listeners, and must not end the process without them.
    stream.on("error", reject);
    stream.once("close", () => reject(new Error("connection closed during the handshake")));
  });
}
