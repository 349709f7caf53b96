import type { CidrRange } from "@meltemi/protos/envoy/config/core/v3";
import type { HeaderMatcher } from "@meltemi/protos/envoy/config/route/v3";
import type { MetadataMatcher, PathMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import { within } from "../lib/config-error.ts";
import { compileCidrs } from "../matchers/cidr.ts";
import { compileHeaderMatcher } from "../matchers/header-matcher.ts";
import { compileMetadataMatcher } from "../matchers/metadata-matcher.ts";
import { compilePathMatcher } from "../matchers/path-matcher.ts";
import type { RbacSubject } from "./subject.ts";

/** One condition of a policy. */
export type Rule = (subject: RbacSubject) => boolean;

export const always: Rule = () => true;

/** Of a connection without HTTP: no header is there, which a condition may ask for. */
const noRequest: HttpRequest = {
  method: "",
  scheme: "http",
  authority: "",
  path: "",
  headers: new HeaderList(),
  body: undefined,
  protocol: "HTTP/1.1",
  upgrade: undefined,
};

export function compileHeaderRule(wire: HeaderMatcher): Rule {
  const test = within("header", () => compileHeaderMatcher(wire));
  return ({ request }) => test(request ?? noRequest);
}

/** Without HTTP there is no path that could match. */
export function compilePathRule(wire: PathMatcher): Rule {
  const test = within("url_path", () => compilePathMatcher(wire));
  return ({ request }) => request !== undefined && test(request.path);
}

export function compileMetadataRule(wire: MetadataMatcher): Rule {
  const test = within("metadata", () => compileMetadataMatcher(wire));
  return ({ info, connection }) =>
    test(info === connection.info ? info.dynamicMetadata : joinMetadata(connection.info.dynamicMetadata, info));
}

/** A request sees what was noted for its connection, too. */
function joinMetadata(
  ofConnection: ReadonlyMap<string, Record<string, unknown>>,
  { dynamicMetadata }: RbacSubject["info"],
): ReadonlyMap<string, Record<string, unknown>> {
  return ofConnection.size === 0 ? dynamicMetadata : new Map([...ofConnection, ...dynamicMetadata]);
}

export interface IpRule {
  readonly field: string;
  readonly range: CidrRange;
  readonly ipOf: (subject: RbacSubject) => string;
}

export function compileIpRule({ field, range, ipOf }: IpRule): Rule {
  const test = within(field, () => compileCidrs([range]));
  return (subject) => test(ipOf(subject));
}
