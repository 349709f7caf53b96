import { describeBehaviours } from "./runner.ts";

describeBehaviours("seeds");
