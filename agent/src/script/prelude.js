// Builds the world in which scripts run, and takes out of it what they must not have. Evaluated once an engine, called with
// what Rust gives (`native`), and returns the prototype of `client`. Everything that two clients could both reach is frozen.
(function (native) {
    "use strict";
    const { freeze, defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Object;
    const { stringify } = JSON;
    const { ownKeys } = Reflect;
    const isView = ArrayBuffer.isView;

    // Whatever stands in an emit goes out as JSON, in which bytes would turn into an object of numbered keys.
    const noBytes = function () {
        throw new TypeError("bytes cannot stand inside an emit: use client.send, or make a text of them");
    };
    for (const bytes of [ArrayBuffer, DataView, getPrototypeOf(Uint8Array)])
        defineProperty(bytes.prototype, "toJSON", { value: noBytes });

    const text = (value, what) => {
        if (typeof value !== "string") throw new TypeError(what);
        return value.toWellFormed();
    };
    const emit = (namespace, event, args, ack) => {
        text(event, "an emit opens with the event's name, a text");
        native.emit(namespace, stringify([event, ...args]), ack);
    };

    class Namespace {
        #name;
        constructor(name) {
            this.#name = text(name, "of takes a namespace's name, a text");
        }
        emit(event, ...args) {
            emit(this.#name, event, args, false);
        }
        emitWithAck(event, ...args) {
            emit(this.#name, event, args, true);
        }
    }

    const client = {
        emit(event, ...args) {
            emit(undefined, event, args, false);
        },
        emitWithAck(event, ...args) {
            emit(undefined, event, args, true);
        },
        of(namespace) {
            return new Namespace(namespace);
        },
        send(message) {
            if (isView(message))
                native.sendBinary(new Uint8Array(message.buffer, message.byteOffset, message.byteLength).toBase64());
            else if (message instanceof ArrayBuffer) native.sendBinary(new Uint8Array(message).toBase64());
            else native.send(text(message, "send takes a text or bytes; JSON.stringify makes a text of anything else"));
        },
        disconnect() {
            native.disconnect();
        },
        fail(reason) {
            native.fail(String(reason).toWellFormed());
        },
    };

    const swarm = {
        get run() { return native.run(); },
        get conns() { return native.conns(); },
        get host() { return native.host(); },
        get hosts() { return native.hosts(); },
        get elapsed() { return native.elapsed(); },
    };
    const silent = function () {};
    const console = { debug: silent, error: silent, info: silent, log: silent, trace: silent, warn: silent };

    Math.random = native.random;
    // eval and shared memory serve nobody here; the two switches of Error would be one setting for all clients
    for (const name of ["eval", "Atomics", "SharedArrayBuffer"]) delete globalThis[name];
    for (const name of ["prepareStackTrace", "stackTraceLimit", "captureStackTrace"]) delete Error[name];
    Object.assign(globalThis, { swarm, console });

    // A frozen prototype forbids its heirs a property of the same name, so what heirs often set themselves
    // (`error.message = ..`, `toString() {..}`) becomes an accessor that lets them.
    const lend = (prototype) => {
        for (const key of ownKeys(prototype)) {
            const had = getOwnPropertyDescriptor(prototype, key);
            if (!("value" in had) || !had.configurable) continue;
            const value = had.value;
            defineProperty(prototype, key, {
                get() { return value; },
                set(own) {
                    if (this === prototype) throw new TypeError("scripts cannot change what all clients share");
                    defineProperty(this, key, { value: own, writable: true, enumerable: true, configurable: true });
                },
                enumerable: had.enumerable,
                configurable: false,
            });
        }
    };
    for (const name of ownKeys(globalThis)) {
        const it = globalThis[name];
        if (typeof it === "function" && (it === Error || getPrototypeOf(it) === Error)) lend(it.prototype);
    }
    lend(Object.prototype);

    const seen = new Set();
    const harden = (root) => {
        const waiting = [root];
        while (waiting.length > 0) {
            const it = waiting.pop();
            if ((typeof it !== "object" && typeof it !== "function") || it === null || seen.has(it)) continue;
            seen.add(it);
            freeze(it);
            waiting.push(getPrototypeOf(it));
            for (const key of ownKeys(it)) {
                const had = getOwnPropertyDescriptor(it, key);
                waiting.push(had.value, had.get, had.set);
            }
        }
    };
    // what no name leads to
    harden([
        function* () {}, async function () {}, async function* () {},
        [][Symbol.iterator](), ""[Symbol.iterator](), new Map().entries(), new Set().entries(), "a".matchAll(/a/g),
        [].values().map(silent), Iterator.from({ next: silent }), new Namespace("/"), client,
    ]);
    harden(globalThis);
    return client;
})
