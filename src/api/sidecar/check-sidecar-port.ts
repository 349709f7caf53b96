import { isPortProtocol } from "../address-rules.ts";
import type { Findings, Path } from "../findings.ts";
import { isDnsLabel } from "../rules.ts";
import type { IngressListener } from "./schema.ts";

/** Checks a port's protocol, name and target; its number is for the caller to check. */
export function checkSidecarPort(port: IngressListener["port"], path: Path, findings: Findings): void {
  const { name = "", protocol = "", targetPort = 0 } = port;
  if (name !== "" && !isDnsLabel(name)) findings.error([...path, "name"], `"${name}" is not a valid port name`, "name");
  if (protocol !== "" && !isPortProtocol(protocol)) {
    findings.error([...path, "protocol"], `"${protocol}" is not a known protocol`, "protocol");
  }
  if (targetPort > 0) findings.error([...path, "targetPort"], "has no meaning for a sidecar", "port");
}
