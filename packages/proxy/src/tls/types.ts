/** TLS contexts and where their secrets come from. */

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { SdsSecretConfig, Secret } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { TlsInfo } from "../listeners/connection.ts";

/** A secret that may change: by SDS, by files, or fixed. */
export interface SecretSlot {
  readonly name: string;
  /** Undefined until it came first. */
  readonly current: Secret | undefined;
  /** Resolves when it is there. */
  readonly ready: Promise<void>;
  /** Calls `run` after each change. The result ends that. */
  onChange(run: () => void): () => void;
}

/** Finds secrets. A slot is shared by all who ask for the same name at the same place, and freed when nobody does. */
export interface SecretProvider {
  open(config: SdsSecretConfig): SecretSlot & { close(): void };
  /** All that are known, for /config_dump and /certs. */
  list(): readonly SecretSlot[];
}

export interface DownstreamTls {
  /** Shakes hands with a client. Rejects with the reason, as in Envoy's "TLS_error:..." text. */
  accept(socket: Duplex): Promise<{ readonly stream: Duplex; readonly info: TlsInfo }>;
  /** True when all of its secrets are there: before that the listener is warming. */
  readonly ready: Promise<void>;
  close(): void;
}

export interface UpstreamTls {
  /** Shakes hands with a server over a connected socket. Rejects with Error; its message is the transport failure. */
  connect(
    socket: Socket,
    options: {
      readonly sni?: string | undefined;
      readonly sans?: readonly string[] | undefined;
      /** In place of the configuration's. */
      readonly alpn?: readonly string[] | undefined;
      /** Where neither `alpn` nor the configuration names any. */
      readonly fallbackAlpn?: readonly string[] | undefined;
    },
  ): Promise<{ readonly stream: Duplex; readonly info: TlsInfo }>;
  readonly ready: Promise<void>;
  close(): void;
}
