// What the precompiled header of the sanitizer builds is compiled for.
