/** A raw client of a discovery service on a Unix socket: bytes out, bytes in, nothing is answered by itself. */
import { Client, type ClientDuplexStream, credentials, type StatusObject } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { until } from "./until.ts";

const same = (bytes: Buffer): Buffer => bytes;

export class SocketStream {
  readonly received: Buffer[] = [];
  status: StatusObject | undefined;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  #taken = 0;

  constructor(call: ClientDuplexStream<Buffer, Buffer>) {
    this.#call = call;
    call.on("error", () => undefined);
    call.once("status", (status: StatusObject) => {
      this.status = status;
    });
    call.on("data", (bytes: Buffer) => this.received.push(bytes));
  }

  send(bytes: Uint8Array): void {
    this.#call.write(Buffer.from(bytes));
  }

  /** The next message that was not taken yet. */
  async next(): Promise<Buffer> {
    await until("a message comes", () => this.received.length > this.#taken || this.status !== undefined);
    const message = this.received[this.#taken];
    if (message === undefined) throw new Error(`the stream ended: ${this.status?.code} ${this.status?.details}`);
    this.#taken += 1;
    return message;
  }

  get untaken(): number {
    return this.received.length - this.#taken;
  }

  /** How it ended. */
  async end(): Promise<StatusObject> {
    await until("the stream ends", () => this.status !== undefined);
    return this.status as StatusObject;
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}

/** Opens a stream on a connection of its own, closed with the test; `method` is the full path. */
export function openSocketStream(path: string, method: string): SocketStream {
  const client = connect(path);
  return new SocketStream(client.makeBidiStreamRequest(method, same, same));
}

/** A call with one request and one answer. */
export function callSocket(path: string, method: string, request: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    connect(path).makeUnaryRequest(method, same, same, Buffer.from(request), (error, answer) => {
      if (error === null) resolve(answer ?? Buffer.alloc(0));
      else reject(error);
    });
  });
}

function connect(path: string): Client {
  const client = new Client(`unix:${path}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
  });
  onTestFinished(() => client.close());
  return client;
}
