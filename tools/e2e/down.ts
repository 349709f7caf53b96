/** `make e2e-down`: ends a node that `make e2e KEEP=1`, or a run that was killed, left behind. */
import { stopNode } from "./node.ts";

try {
  await stopNode();
} catch (cause) {
  console.error(`error: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exit(1);
}
