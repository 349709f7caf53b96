/** What annotations may hold: each rule says what is wrong with a text, or nothing. */
import { isIP } from "node:net";
import { isDnsName } from "../api/rules.ts";
import { parseJson } from "./parse-json.ts";
import { isObject } from "./pod-fields.ts";
import { parseQuantity } from "./quantity.ts";

export type AnnotationRule = (text: string) => string | undefined;

export const matching =
  (pattern: RegExp, problem: string): AnnotationRule =>
  (text) =>
    pattern.test(text) ? undefined : problem;

export const oneOfWords =
  (...words: readonly string[]): AnnotationRule =>
  (text) =>
    words.includes(text) ? undefined : `must be one of ${words.join(", ")}`;

/** As Go's strconv.ParseBool reads it. */
const flags: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((word): [string, boolean] => [word, true]),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word): [string, boolean] => [word, false]),
]);

export const parseFlag = (text: string): boolean | undefined => flags.get(text);

export const isFlag: AnnotationRule = (text) => (flags.has(text) ? undefined : "must be true or false");

export const isCount: AnnotationRule = (text) =>
  /^\d{1,10}$/.test(text) && Number(text) < 2 ** 31 ? undefined : "must be a whole number from 0";

const isPortText = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65_535;

export const isPort: AnnotationRule = (text) => (isPortText(text.trim()) ? undefined : "must be a port");

export const isPortList: AnnotationRule = (text) =>
  text.trim() === "" || text.split(",").every((port) => isPortText(port.trim()))
    ? undefined
    : "must be ports with commas between them";

export const isRangeList: AnnotationRule = (text) =>
  text === "" || text.split(",").every(isSubnet)
    ? undefined
    : "must be subnets such as 10.0.0.0/8 with commas between them";

function isSubnet(text: string): boolean {
  const [, address = "", bits = ""] = /^([^/%]+)\/(\d{1,3})$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && !/^0\d/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

/** "*" for all, or what the other rule allows. */
export const allOr =
  (rule: AnnotationRule): AnnotationRule =>
  (text) =>
    text === "*" ? undefined : rule(text);

const interfaceName = /^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/;

export const isInterfaceList: AnnotationRule = (text) =>
  text === "" || text.split(",").every((name) => interfaceName.test(name.trim()))
    ? undefined
    : "must be names of network interfaces (at most 15 characters) with commas between them";

export const isQuantityText: AnnotationRule = (text) => {
  const amount = parseQuantity(text);
  if (amount === undefined) return "must be a quantity such as 100m or 128Mi";
  return amount < 0 ? "must not be negative" : undefined;
};

export const isConfigMapName: AnnotationRule = (text) =>
  isDnsName(text) ? undefined : "must be the name of a ConfigMap";

/** A JSON object whose fields are objects, such as volumes by name. */
export const isObjectMap: AnnotationRule = (text) => {
  const parsed = parseJson(text);
  return isObject(parsed) && Object.values(parsed).every(isObject)
    ? undefined
    : 'must be JSON with an object for each name, such as {"name": {…}}';
};

/** A JSON object whose fields are single values. */
export const isValueMap: AnnotationRule = (text) => {
  const parsed = parseJson(text);
  const isSingle = (value: unknown) => typeof value !== "object";
  return isObject(parsed) && Object.values(parsed).every(isSingle)
    ? undefined
    : 'must be JSON with a value for each name, such as {"NAME": "value"}';
};

/** Text for one line: no control characters, and none that ends a line. */
export const isOneLine = matching(/^[^\p{Cc}\u2028\u2029]*$/u, "must not contain control characters");
