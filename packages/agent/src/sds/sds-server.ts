/** The secret discovery service for the proxy beside the agent, on a Unix socket (Istio: security/pkg/nodeagent/sds). */
import {
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status as statusCodes,
} from "@grpc/grpc-js";
import { ProtoError } from "@meltemi/protos";
import type { Log } from "../../../../src/lib/log.ts";
import { isSocketServed, listenOnSocket } from "../identity/unix-socket.ts";
import { asBuffer, asBytes } from "../identity/upstream.ts";
import { SecretShelf, type SecretShelfOptions } from "./secret-shelf.ts";
import { SecretRequestError, SecretStream, type Variant } from "./secret-stream.ts";

export interface SdsServerOptions extends SecretShelfOptions {
  /** Where the workload's secrets are served (workload-spiffe-uds/socket). */
  readonly socketPath: string;
  /** Where files alone are served when somebody else serves `socketPath` (credential-uds/files-socket). */
  readonly filesSocketPath: string;
  /** Rights of the socket; 0o600 where not given: who can connect can have the key. */
  readonly socketMode?: number;
}

export interface SdsServer {
  /** Where it listens: `socketPath`, or `filesSocketPath` where somebody else serves the first. */
  readonly socketPath: string;
  /** True where another server (SPIRE) serves the workload's secrets, and this one serves files alone. */
  readonly isFilesOnly: boolean;
  stop(): Promise<void>;
}

/** Rejects where the socket cannot be made. */
export async function startSdsServer(options: SdsServerOptions): Promise<SdsServer> {
  const log = options.log.child({ component: "sds" });
  const isFilesOnly = await isSocketServed(options.socketPath);
  if (isFilesOnly)
    log.info("another server has the workload's secrets; files alone are served", { socket: options.socketPath });
  const socketPath = isFilesOnly ? options.filesSocketPath : options.socketPath;
  const shelf = new SecretShelf({ ...options, ...(isFilesOnly ? { secrets: undefined } : {}), log });
  const server = new Server({ "grpc.max_receive_message_length": maxRequestBytes });
  server.addService(definition, {
    StreamSecrets: (call: Call) => serveStream(call, "sotw", { shelf, log }),
    DeltaSecrets: (call: Call) => serveStream(call, "delta", { shelf, log }),
    FetchSecrets: (_: ServerUnaryCall<Uint8Array, Uint8Array>, answer: sendUnaryData<Uint8Array>) =>
      answer({ code: statusCodes.UNIMPLEMENTED, details: "secrets are streamed" }),
  });
  await listenOnSocket(server, socketPath, options.socketMode ?? 0o600);
  return {
    socketPath,
    isFilesOnly,
    stop: async () => {
      shelf.stop();
      server.forceShutdown();
    },
  };
}

type Call = ServerDuplexStream<Uint8Array, Uint8Array>;

interface Serving {
  readonly shelf: SecretShelf;
  readonly log: Log;
}

const maxRequestBytes = 1024 * 1024;

function serveStream(call: Call, variant: Variant, { shelf, log }: Serving): void {
  const stream = new SecretStream({
    variant,
    shelf,
    log,
    write: (bytes, onWritten) => {
      call.write(bytes, (error: Error | null | undefined) => {
        if (error === null || error === undefined) onWritten();
      });
    },
  });
  const close = (): void => stream.close();
  call.on("error", close);
  call.once("cancelled", close);
  call.once("close", close);
  call.once("end", () => {
    close();
    call.end();
  });
  call.on("data", (bytes: Uint8Array) => {
    try {
      stream.handleMessage(bytes);
    } catch (cause: unknown) {
      const isTheirs = cause instanceof SecretRequestError || cause instanceof ProtoError;
      if (!isTheirs) log.error("a request for secrets could not be handled", { error: cause });
      const details = isTheirs ? cause.message : "internal error";
      call.emit("error", { code: isTheirs ? statusCodes.INVALID_ARGUMENT : statusCodes.INTERNAL, details });
    }
  });
}

const codec = {
  requestSerialize: asBuffer,
  requestDeserialize: asBytes,
  responseSerialize: asBuffer,
  responseDeserialize: asBytes,
};
const path = "/envoy.service.secret.v3.SecretDiscoveryService";
const streamed = { requestStream: true, responseStream: true, ...codec };
const definition = {
  StreamSecrets: { path: `${path}/StreamSecrets`, ...streamed },
  DeltaSecrets: { path: `${path}/DeltaSecrets`, ...streamed },
  FetchSecrets: { path: `${path}/FetchSecrets`, requestStream: false, responseStream: false, ...codec },
} satisfies ServiceDefinition;
