# SPDX-License-Identifier: Apache-2.0
# bash completion for netpolctl (and kubectl-netpol) and netpold. The words come from the programs' own tables.

_netpolctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case $before in
    -f | --file | --with | --without | --kubeconfig | --facts | -q | --queries)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" __words 2>/dev/null)" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" __words "${COMP_WORDS[1]}" 2>/dev/null)" -- "$word")
    fi
}

_netpold() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case $before in
    --state | --kubeconfig | --facts)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help 2>/dev/null | grep -oE -- '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+')" -- "$word")
}

complete -F _netpolctl netpolctl kubectl-netpol
complete -F _netpold netpold
