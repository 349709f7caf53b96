import { expect, test } from "vitest";
import { parseSecretName } from "./secret-name.ts";

test.each([
  ["default", { kind: "workload" }],
  ["ROOTCA", { kind: "roots" }],
  ["file-root:system", { kind: "system-roots" }],
  ["file-cert:/etc/a.pem~/etc/a.key", { kind: "file-pair", certificateFile: "/etc/a.pem", keyFile: "/etc/a.key" }],
  ["file-root:/etc/ca.pem", { kind: "file-roots", rootsFile: "/etc/ca.pem" }],
  ["file-cert:/etc/a.pem", undefined],
  ["file-cert:/etc/a.pem~", undefined],
  ["file-cert:a~b~c", undefined],
  ["file-root:a~b", undefined],
  ["file-root:", undefined],
  ["rootca", undefined],
  ["kubernetes://gateway", undefined],
  ["", undefined],
])("%s", (name, expected) => expect(parseSecretName(name)).toEqual(expected));
