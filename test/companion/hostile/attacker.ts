/** A process full of hostile clients. */
import { setPriority } from "node:os";
import { serveActor } from "./actor.ts";
import { type AttackName, attacks } from "./attacks/attacks.ts";
import type { Attack, AttackTarget } from "./attacks/crowd.ts";

/** Attackers have machines of their own; here they must not take the processors from those that are measured. */
setPriority(19);

let attack: Attack | undefined;
const commands = {
  /** Resolves when all are there. */
  begin: async ({ name, ...target }: AttackTarget & { readonly name: AttackName }) => {
    attack = await attacks[name](target);
  },
  /** Ends it, and tells what came of it. */
  end: async (): Promise<Readonly<Record<string, number>>> => {
    await attack?.stop();
    return Object.fromEntries(attack?.seen ?? []);
  },
};
export type AttackerCommands = typeof commands;

serveActor(commands);
