/** A control plane for tests, by grpc-js on a loopback port: says what a test says, and keeps what it hears. */
import { type handleBidiStreamingCall, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { decode } from "@meltemi/protos";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "@meltemi/protos/envoy/service/discovery/v3";

type Heard = DiscoveryRequest & DeltaDiscoveryRequest;

export interface TestStream {
  readonly method: string;
  /** The next request on this stream, in order; waits for it. */
  next(): Promise<Heard>;
  send(bytes: Uint8Array): void;
  /** Ends the stream from the server's side. */
  end(): void;
}

export interface TestControlPlane {
  readonly port: number;
  /** The next stream that was opened; waits for it. */
  stream(): Promise<TestStream>;
  stop(): void;
}

/** Listens on `port`, any free one where it is 0. `methods` are paths such as "/package.Service/Method". */
export async function startTestControlPlane(methods: readonly string[], port = 0): Promise<TestControlPlane> {
  const server = new Server();
  const streams = new Queue<TestStream>();
  for (const path of methods) {
    const isDelta = path.includes("/Delta");
    const name = isDelta ? "DeltaDiscoveryRequest" : "DiscoveryRequest";
    const handle: handleBidiStreamingCall<Heard, Uint8Array> = (call) => streams.push(listen(path, call));
    const method = path.slice(path.lastIndexOf("/") + 1);
    server.addService(
      {
        [method]: {
          path,
          requestStream: true,
          responseStream: true,
          requestSerialize: (value: Heard) => Buffer.from(JSON.stringify(value)),
          requestDeserialize: (bytes: Buffer) => decode(`envoy.service.discovery.v3.${name}`, bytes) as Heard,
          responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
          responseDeserialize: (bytes: Buffer) => bytes,
        },
      },
      { [method]: handle },
    );
  }
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (cause, taken) =>
      cause === null ? resolve(taken) : reject(cause),
    );
  });
  return { port: bound, stream: () => streams.next(), stop: () => server.forceShutdown() };
}

function listen(method: string, call: ServerDuplexStream<Heard, Uint8Array>): TestStream {
  const heard = new Queue<Heard>();
  call.on("data", (request: Heard) => heard.push(request));
  call.on("error", () => undefined);
  call.on("end", () => call.end());
  return { method, next: () => heard.next(), send: (bytes) => call.write(bytes), end: () => call.end() };
}

class Queue<Value> {
  readonly #values: Value[] = [];
  readonly #waiting: ((value: Value) => void)[] = [];

  push(value: Value): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#values.push(value);
    else waiting(value);
  }

  next(): Promise<Value> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
