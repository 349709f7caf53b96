/**
 * Certificates from files, served to the local proxies over SDS on a Unix socket: the part of Istio's agent that a gateway
 * with certificate files needs. Secrets are named `file-cert:CERTIFICATE~KEY` (Istio: pkg/security, SDS of files).
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { decode, encode, packAny, typeUrl } from "@meltemi/protos";
import type { Secret } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { DiscoveryRequest, DiscoveryResponse } from "@meltemi/protos/envoy/service/discovery/v3";

const secretType = "envoy.extensions.transport_sockets.tls.v3.Secret";

const streamSecrets = {
  path: "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
  requestStream: true,
  responseStream: true,
  requestSerialize: (message: DiscoveryRequest) =>
    Buffer.from(encode("envoy.service.discovery.v3.DiscoveryRequest", message)),
  requestDeserialize: (bytes: Buffer) => decode("envoy.service.discovery.v3.DiscoveryRequest", bytes),
  responseSerialize: (message: DiscoveryResponse) =>
    Buffer.from(encode("envoy.service.discovery.v3.DiscoveryResponse", message)),
  responseDeserialize: (bytes: Buffer) => decode("envoy.service.discovery.v3.DiscoveryResponse", bytes),
} as const;

export interface FileSecrets {
  stop(): void;
}

/** Serves on a Unix socket. `report` hears of secrets that cannot be read and of those that proxies refuse. */
export function startFileSecrets(socket: string, report: (line: string) => void): Promise<FileSecrets> {
  return startSecretServer(socket, { find: (name) => readSecret(name, report), report });
}

export interface SecretServerOptions {
  /** The secret of a name; undefined where there is none. */
  readonly find: (name: string) => Secret | undefined;
  /** Hears of secrets that proxies refuse. */
  readonly report: (line: string) => void;
}

/** SDS (state of the world) on a Unix socket. */
export async function startSecretServer(socket: string, options: SecretServerOptions): Promise<FileSecrets> {
  const server = new Server();
  server.addService({ streamSecrets }, { streamSecrets: (stream: SecretStream) => answerStream(stream, options) });
  await new Promise<void>((done, fail) => {
    server.bindAsync(`unix:${resolve(socket)}`, ServerCredentials.createInsecure(), (error) =>
      error ? fail(error) : done(),
    );
  });
  return { stop: () => server.forceShutdown() };
}

type SecretStream = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

function answerStream(stream: SecretStream, { find, report }: SecretServerOptions): void {
  let answered = "";
  let responses = 0;
  stream.on("data", (request: DiscoveryRequest) => {
    if (request.error_detail) report(`a proxy refuses a certificate: ${request.error_detail.message}`);
    const names = request.resource_names ?? [];
    // Everything else is an acknowledgement: the files are written once, before the proxies start.
    if (names.join() === answered) return;
    answered = names.join();
    responses += 1;
    stream.write({
      type_url: typeUrl(secretType),
      version_info: "1",
      nonce: String(responses),
      resources: names.flatMap((name) => {
        const secret = find(name);
        return secret === undefined ? [] : [packAny(secretType, secret)];
      }),
    });
  });
  stream.on("end", () => stream.end());
  // A proxy that goes away is no problem of the others.
  stream.on("error", () => undefined);
}

function readSecret(name: string, report: (line: string) => void): Secret | undefined {
  const [, certificateFile, keyFile] = /^file-cert:([^~]+)~(.+)$/.exec(name) ?? [];
  if (certificateFile === undefined || keyFile === undefined) return undefined;
  try {
    const certificate_chain = { inline_bytes: readFileSync(certificateFile) };
    const private_key = { inline_bytes: readFileSync(keyFile) };
    return { name, tls_certificate: { certificate_chain, private_key } };
  } catch (cause) {
    report(`a gateway's certificate cannot be read: ${String(cause)}`);
    return undefined;
  }
}
