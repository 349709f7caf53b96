import { setLogger } from "@grpc/grpc-js";
import type { Log } from "../../../../src/lib/log.ts";

/** gRPC's own log goes to standard error and says again what we report; what GRPC_TRACE asks for comes this way too. */
export function sendGrpcLogTo(log: Log): void {
  const note = (...parts: readonly unknown[]): void => log.debug("gRPC", { text: parts.join(" ") });
  setLogger({ error: note, info: note, debug: note });
}
