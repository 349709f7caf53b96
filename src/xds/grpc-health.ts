/** The standard health service (grpc.health.v1.Health). */
import { decode, encode } from "@meltemi/protos";
import type { GrpcCall } from "./grpc-call.ts";

export class HealthService {
  readonly #names: ReadonlySet<string>;
  readonly #isServing: () => boolean;
  readonly #watches = new Set<GrpcCall>();

  /** `names`: services that are answered for; "" stands for the whole server. */
  constructor(names: readonly string[], isServing: () => boolean) {
    this.#names = new Set(names);
    this.#isServing = isServing;
  }

  check(call: GrpcCall, request: Uint8Array): void {
    if (!this.#knows(request)) {
      call.end({ code: "NOT_FOUND", details: "unknown service" });
      return;
    }
    call.write(this.#answer());
    call.end({ code: "OK", details: "" });
  }

  watch(call: GrpcCall, request: Uint8Array): void {
    if (!this.#knows(request)) {
      call.write(encode("grpc.health.v1.HealthCheckResponse", { status: "SERVICE_UNKNOWN" }));
      return;
    }
    this.#watches.add(call);
    call.onClosed(() => this.#watches.delete(call));
    call.write(this.#answer());
  }

  /** Tells watchers about a change. */
  notify(): void {
    for (const call of this.#watches) call.write(this.#answer());
  }

  stop(): void {
    for (const call of this.#watches) call.end({ code: "OK", details: "" });
    this.#watches.clear();
  }

  #answer(): Uint8Array {
    return encode("grpc.health.v1.HealthCheckResponse", { status: this.#isServing() ? "SERVING" : "NOT_SERVING" });
  }

  #knows(request: Uint8Array): boolean {
    try {
      return this.#names.has(decode("grpc.health.v1.HealthCheckRequest", request).service ?? "");
    } catch {
      // Malformed bytes name no service.
      return false;
    }
  }
}
