/** The table of fields and proofs, and its form as Markdown. */
import { untranslatedKinds } from "../../src/api/known-kinds.ts";
import { untranslatedFields } from "../../src/api/untranslated-fields.ts";
import { type FeatureKind, type Field, featureKinds, listFields } from "./fields.ts";
import { type Proofs, proofKey } from "./proofs.ts";

export interface Feature extends Field {
  readonly kind: FeatureKind;
  readonly state: "proven" | "unproven" | "untranslated";
  /** For what is not translated. */
  readonly reason?: string;
  readonly golden: readonly string[];
  readonly behaviours: readonly string[];
}

const mostNames = 3;

/** One row for each field of each kind, in the order of the schemas. */
export function buildFeatures(proofs: Proofs): readonly Feature[] {
  return featureKinds.flatMap((kind) => listFields(kind).map((field) => buildFeature(kind, field, proofs)));
}

/** The whole of docs/features.md. */
export function formatFeatures(features: readonly Feature[]): string {
  const parts = featureKinds.map((kind) =>
    formatKind(
      kind,
      features.filter((feature) => feature.kind === kind),
    ),
  );
  return `${[head, ...parts].join("\n\n")}\n`;
}

const head = `# Fields

Every field of Istio's networking kinds, by the schemas that objects are checked against: whether it is translated, and
what proves it. A golden case (\`test/golden\`) or behaviour (\`test/envoy/behaviours\`) proves a field that one of its own
objects sets. \`[]\` stands for the items of a list, \`{}\` for the values of a map. A part of a schema that stands in several
places has its rows at the first one. Fields without effect give a warning; their table is
\`src/api/untranslated-fields.ts\`. \`make features\` writes this page, and a test fails where it is stale or a field lacks
proof.`;

function buildFeature(kind: FeatureKind, field: Field, proofs: Proofs): Feature {
  const key = proofKey(kind, field.path);
  const [golden, behaviours] = [proofs.golden.get(key) ?? [], proofs.behaviours.get(key) ?? []];
  const reason = findReason(kind, field.path);
  if (reason !== undefined) return { ...field, kind, state: "untranslated", reason, golden: [], behaviours: [] };
  const isProven = golden.length + behaviours.length > 0;
  return { ...field, kind, state: isProven ? "proven" : "unproven", golden, behaviours };
}

/** Why a field is not translated, itself or with all that it is part of. */
function findReason(kind: FeatureKind, path: string): string | undefined {
  if (untranslatedKinds.has(kind)) return "the kind is not translated yet";
  const entry = untranslatedFields.find(
    (one) =>
      one.kind === kind &&
      (path === one.path || (/^[.[{]/.test(path.slice(one.path.length)) && path.startsWith(one.path))),
  );
  if (entry === undefined) return undefined;
  return entry.told === "error" ? `refused: ${entry.reason}` : entry.reason;
}

function formatKind(kind: FeatureKind, features: readonly Feature[]): string {
  const rows = features.map(({ path, sameAs, reason, golden, behaviours }) => {
    const name = sameAs === undefined ? `\`${path}\`` : `\`${path}\`: the fields of \`${sameAs}\``;
    const translated = reason === undefined ? "yes" : `no: ${reason}`;
    return `| ${name} | ${translated} | ${formatNames(golden, kind)} | ${formatNames(behaviours, kind)} |`;
  });
  return [`## ${kind}`, "", "| field | translated | golden cases | behaviours |", "|---|---|---|---|", ...rows].join(
    "\n",
  );
}

/** At most a few names, those of cases about the kind first. */
function formatNames(names: readonly string[], kind: FeatureKind): string {
  const word = kind.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
  const isOwn = (name: string): boolean => name.startsWith(word);
  const sorted = [...names.filter(isOwn), ...names.filter((name) => !isOwn(name))];
  const shown = sorted.slice(0, mostNames).map((name) => name.replaceAll("|", "\\|"));
  const rest = names.length - shown.length;
  return rest > 0 ? `${shown.join("; ")}; ${rest} more` : shown.join("; ");
}
