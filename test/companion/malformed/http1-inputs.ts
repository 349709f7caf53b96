/** Everything that both proxies are asked over HTTP/1.1. */
import { malformedRequests } from "../../../packages/proxy/src/http/malformed-corpus.ts";
import { framingInputs } from "./http1-framing-inputs.ts";
import type { Http1Input } from "./http1-input.ts";
import { targetInputs } from "./http1-target-inputs.ts";

export const http1Inputs: readonly Http1Input[] = [
  ...malformedRequests.map(({ name, bytes }): Http1Input => ({ name: `refused: ${name}`, profile: "plain", bytes })),
  ...framingInputs,
  ...targetInputs,
];
