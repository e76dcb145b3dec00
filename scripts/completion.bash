# SPDX-License-Identifier: Apache-2.0
# bash completion for netpolctl (and kubectl-netpol) and netpold. The words come from the programs' own tables.

# Sets word (to be completed) and before (the option whose value it is, if any): "--option value" and "--option=value",
# which bash cuts at "=".
_netpol_words() {
    word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    if [ "$word" = "=" ]; then
        word=''
    elif [ "$before" = "=" ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
}

_netpolctl() {
    local word before values=''
    _netpol_words
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" __words 2>/dev/null)" -- "$word")
        return
    fi
    [[ $before == -* ]] && values=$("${COMP_WORDS[0]}" __words "${COMP_WORDS[1]}" "$before" 2>/dev/null)
    case $values in
    =FILE | =PATH) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    =*) COMPREPLY=() ;; # a name or a number: nothing to offer
    '') mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" __words "${COMP_WORDS[1]}" 2>/dev/null)" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word") ;;
    esac
}

_netpold() {
    local word before help values=''
    _netpol_words
    case $before in
    --state | --kubeconfig | --facts)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    help=$("${COMP_WORDS[0]}" --help 2>/dev/null)
    [[ $before == --* ]] && values=$(sed -nE "s/^  $before ([a-z0-9.]+(\\|[a-z0-9.]+)+)\$/\\1/p" <<<"$help" | tr '|' '\n')
    if [ -z "$values" ]; then
        values=$(grep -oE -- '^ +(-., )?--[a-z-]+' <<<"$help" | grep -oE -- '--[a-z-]+')
    fi
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
}

complete -F _netpolctl netpolctl kubectl-netpol
complete -F _netpold netpold
