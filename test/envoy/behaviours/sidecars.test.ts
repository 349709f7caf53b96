import { describeBehaviours } from "./runner.ts";

describeBehaviours("sidecars");
