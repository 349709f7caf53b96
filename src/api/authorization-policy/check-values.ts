/** Values of authorization rules: addresses, ports, paths, service accounts, keys. After Istio's pkg/config/security. */
import { isIP } from "node:net";
import type { Findings, Path } from "../findings.ts";

type Values = readonly string[] | undefined;
type Check = (values: Values, path: Path, findings: Findings) => void;

const maxServiceAccounts = 16;
const maxServiceAccountBytes = 320;
/** Characters of a path's segment beside templates: pchar of RFC 3986 without "*". */
const pathLiteral = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

export const checkTexts: Check = (values, path, findings) => {
  for (const [index, value] of (values ?? []).entries()) {
    if (value === "") findings.error([...path, index], "must not be empty", "required");
  }
};

export const checkAddresses: Check = (values, path, findings) => {
  for (const [index, value] of (values ?? []).entries()) {
    if (!isAddressOrBlock(value)) {
      findings.error([...path, index], `"${value}" is not an address or a subnet such as 10.0.0.0/8`, "address");
    }
  }
};

export const checkPorts: Check = (values, path, findings) => {
  for (const [index, value] of (values ?? []).entries()) {
    if (!/^[0-9]+$/.test(value) || Number(value) > 65535) {
      findings.error([...path, index], `"${value}" is not a port from 0 to 65535`, "port");
    }
  }
};

export const checkServiceAccounts: Check = (values, path, findings) => {
  if ((values ?? []).length > maxServiceAccounts) {
    findings.error(path, `must have at most ${maxServiceAccounts} values`, "out-of-range");
  }
  for (const [index, value] of (values ?? []).entries()) {
    const at = [...path, index];
    if (value === "") findings.error(at, "must not be empty", "required");
    else if (value.includes("*")) findings.error(at, "must not have a wildcard", "service-account");
    else if (Buffer.byteLength(value) > maxServiceAccountBytes) {
      findings.error(at, `is longer than ${maxServiceAccountBytes} characters`, "service-account");
    } else if (!/^[^/]+(\/[^/]+)?$/s.test(value)) {
      findings.error(at, `"${value}" must be ACCOUNT or NAMESPACE/ACCOUNT`, "service-account");
    }
  }
};

/** Text in which one "*" may stand at the start or the end. */
export const checkWildcards: Check = (values, path, findings) => {
  for (const [index, value] of (values ?? []).entries()) {
    const at = [...path, index];
    const star = value.indexOf("*");
    if (value === "") findings.error(at, "must not be empty", "required");
    else if (star !== value.lastIndexOf("*")) findings.error(at, `"${value}" has more than one wildcard`, "wildcard");
    else if (star > 0 && star < value.length - 1) {
      findings.error(at, `"${value}" has its wildcard in the middle: it must start or end with it`, "wildcard");
    }
  }
};

export const checkTrustDomains: Check = (values, path, findings) => {
  checkWildcards(values, path, findings);
  for (const [index, value] of (values ?? []).entries()) {
    if (value.includes("/")) findings.error([...path, index], `"${value}" must not have a "/"`, "trust-domain");
  }
};

/** Paths: empty ones are none, templates must be whole segments. */
export const checkPaths: Check = (values, path, findings) => {
  checkTexts(values, path, findings);
  for (const [index, value] of (values ?? []).entries()) {
    const fault = findTemplateFault(value);
    if (fault !== undefined) findings.error([...path, index], `"${value}" ${fault}`, "path-template");
  }
};

function findTemplateFault(path: string): string | undefined {
  const hasTemplate = path.includes("{*}") || path.includes("{**}");
  let isClosed = false;
  for (const segment of path.replace(/^\/+|\/+$/g, "").split("/")) {
    if (segment === "{*}" || segment === "{**}") {
      if (isClosed) return 'has a template after "{**}", which must be the last one';
      isClosed = segment === "{**}";
    } else if (/[{}]/.test(segment)) {
      return 'has braces that are not "{*}" or "{**}" as a whole segment';
    } else if (hasTemplate && !pathLiteral.test(segment)) {
      return `has the segment "${segment}", which cannot stand beside "{*}" and "{**}"`;
    }
  }
  return undefined;
}

function isAddressOrBlock(text: string): boolean {
  const slash = text.lastIndexOf("/");
  if (slash < 0) return isIP(text) !== 0;
  const [address, bits] = [text.slice(0, slash), text.slice(slash + 1)];
  const family = address.includes("%") ? 0 : isIP(address);
  return family !== 0 && /^(0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}
