#!/bin/sh
# loginctl.sh: whether the user's units start without a login, and the command that allows it.
mark=$XDG_RUNTIME_DIR/linger
if [ "$1" = show-user ]; then
    [ -e "$mark" ] && echo Linger=yes || echo Linger=no
else
    touch "$mark"
fi
