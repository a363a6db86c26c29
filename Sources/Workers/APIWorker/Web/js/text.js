// Words of the page. English is the key; what a language lacks is shown in English.

const spanish = {
  'Playlist for a player': 'Lista para un reproductor', 'Play or save; what is missing is fetched first': 'Reproducir o guardar; lo que falte se descarga primero',
  'Add feed': 'Añadir fuente', 'Add feed…': 'Añadir fuente…', 'Add folder': 'Añadir carpeta', 'Add folder…': 'Añadir carpeta…', 'Add rule…': 'Añadir regla…', Ban: 'Vetar', 'Ban…': 'Vetar…', 'Change URL': 'Cambiar URL', 'Change URL…': 'Cambiar URL…',
  'Choose a feed.': 'Elija una fuente.', 'Days to wait after a match': 'Días de espera tras una coincidencia', Download: 'Descargar', 'Each episode once': 'Cada episodio una vez', Enabled: 'Activada', Episodes: 'Episodios', Feeds: 'Fuentes',
  'Mark as read': 'Marcar como leído', Matches: 'Coincidencias', 'Must contain': 'Debe contener', 'Must not contain': 'No debe contener', 'No feeds yet.': 'Aún no hay fuentes.',
  'no connection to it or from it any more, in any torrent.': 'ninguna conexión más con él, en ningún torrent.', Refresh: 'Actualizar', 'Refresh all': 'Actualizar todo', 'Regular expressions': 'Expresiones regulares', Rule: 'Regla', Rules: 'Reglas',
  '(none)': '(ninguna)', '.torrent files': 'Archivos .torrent', Actions: 'Acciones', Active: 'Activos', Add: 'Añadir', 
  'Add peers': 'Añadir pares', 'Add peers…': 'Añadir pares…', 'Add torrents': 'Añadir torrents', 'Add trackers': 'Añadir trackers', 'Add trackers…': 'Añadir trackers…',
  'All files': 'Todos los archivos', 'No files': 'Ningún archivo', 'Choose at least one file.': 'Elija al menos un archivo.', Priority: 'Prioridad', Skip: 'Omitir', High: 'Alta', Maximum: 'Máxima',
  'First and last pieces first': 'Primero los extremos', 'First and last pieces first: on/off': 'Primero los extremos: sí/no', 'Super-seeding: on/off': 'Supersiembra: sí/no',
  Added: 'Añadido', 'Added.': 'Añadido.', Address: 'Dirección', All: 'Todos', 'Alternative speed limits': 'Límites de velocidad alternativos', 'Always a folder': 'Siempre una carpeta', 'As in the torrent': 'Como en el torrent',
  'Automatic management': 'Gestión automática', Availability: 'Disponibilidad', Cancel: 'Cancelar', Category: 'Categoría', 'Category…': 'Categoría…', 'Change folder…': 'Cambiar carpeta…',
  'Changed here, an option wins over the configuration file until it is reset.': 'Lo que se cambia aquí prevalece sobre el archivo de configuración hasta que se restablece.',
  Checking: 'Comprobando', 'Choose a .torrent file, or give a link.': 'Elija un archivo .torrent o escriba un enlace.', Client: 'Cliente', Close: 'Cerrar',
  'Close the details': 'Cerrar los detalles', 'Comma between them': 'Separadas por comas', Comment: 'Comentario', Completed: 'Completado', Connection: 'Conexión', Connections: 'Conexiones', Copy: 'Copiar', 'Copied.': 'Copiado.',
  'Copy info-hash': 'Copiar info-hash', 'Copy magnet link': 'Copiar enlace magnet', Created: 'Creado', 'Created by': 'Creado con', 'Dark colours': 'Colores oscuros', 'Delete the downloaded files too': 'Borrar también los archivos descargados',
  Details: 'Detalles', Disabled: 'Desactivado', Down: 'Bajada', 'Down limit': 'Límite de bajada', 'Down limit (KiB/s)': 'Límite de bajada (KiB/s)', 'Down limit…': 'Límite de bajada…', Downloaded: 'Descargado',
  Downloading: 'Descargando', 'Downloading (forced)': 'Descargando (forzado)', Downloads: 'Descargas', 'Drop .torrent files here': 'Suelte aquí archivos .torrent', ETA: 'Falta', 
  'Each part of the daemon is a process of its own. One that dies is started again; transfers go on.': 'Cada parte del demonio es un proceso propio. El que muere se inicia de nuevo; las transferencias siguen.',
  'Empty: the global limit. −1: none.': 'Vacío: el límite global. −1: ninguno.', Error: 'Error', Errors: 'Errores', 'Export .torrent': 'Exportar .torrent', 'Extend the selection': 'Ampliar la selección',
  'Fetched again': 'Descargado de nuevo', 'Fetching metadata': 'Obteniendo metadatos', Files: 'Archivos', Filters: 'Filtros', 
  Flags: 'Indicadores', Folder: 'Carpeta', 'Force start': 'Forzar inicio', Generation: 'Generación', 'IP:port, one a line': 'IP:puerto, uno por línea',
  'In order': 'En orden', 'In order: on/off': 'En orden: sí/no', Inactive: 'Inactivos', 'Inactive (min)': 'Inactivo (min)', 'Info-hash v1': 'Info-hash v1', 'Info-hash v2': 'Info-hash v2', Keyboard: 'Teclado', 'KiB/s; 0: none': 'KiB/s; 0: ninguno',
  'Last end': 'Último final', 'Least severity': 'Gravedad mínima', 'Light colours': 'Colores claros', Log: 'Registro', 'Log in': 'Entrar', 'Log out': 'Salir', 'Magnet links and URLs': 'Enlaces magnet y URL', 'Manage by hand': 'Gestión manual',
  Memory: 'Memoria', Menu: 'Menú', Message: 'Mensaje', 'Missing files': 'Faltan archivos', More: 'Más', 'Move in the table': 'Moverse por la tabla', 'Move to': 'Mover a', 'Move to…': 'Mover a…',
  Moving: 'Moviendo', Name: 'Nombre', 'New category': 'Categoría nueva', 'New category…': 'Categoría nueva…', 
  'No torrents yet. Drop a .torrent file here, or press “a” to add one.': 'Aún no hay torrents. Suelte aquí un archivo .torrent o pulse «a» para añadir uno.', Normal: 'Normal', 'Not contacted yet': 'Aún sin contactar', 'Not working': 'No funciona',
  'Nothing matches the filters.': 'Nada coincide con los filtros.', 'Nothing was added: is it there already?': 'No se añadió nada: ¿ya está?', OK: 'Aceptar', Overview: 'Resumen', PID: 'PID', Pages: 'Páginas', Password: 'Contraseña', Peers: 'Pares',
  'Peers over ten minutes': 'Pares en diez minutos', Pieces: 'Piezas', Private: 'Privado', Progress: 'Progreso', Queued: 'En cola', 'Queue: down': 'Cola: bajar', 'Queue: to the bottom': 'Cola: al final', 'Queue: to the top': 'Cola: al principio',
  'Queue: up': 'Cola: subir', 'Rates over ten minutes': 'Velocidades en diez minutos', Ratio: 'Proporción', Reannounce: 'Volver a anunciar', Recheck: 'Comprobar', Remove: 'Quitar',
  'Remove…': 'Quitar…', Rename: 'Renombrar', 'Rename…': 'Renombrar…', Reset: 'Restablecer', 'Reset to': 'Restablecer a', Restart: 'Reiniciar', Restarts: 'Reinicios', 'Save to': 'Guardar en', Search: 'Buscar',
  'Search settings': 'Buscar ajustes', Seeding: 'Sembrando', 'Seeding (forced)': 'Sembrando (forzado)', 'Seeding time': 'Tiempo sembrando', 'Seeding time (min)': 'Tiempo sembrando (min)', Seeds: 'Semillas', 'Select all': 'Seleccionar todo',
  'Select or not': 'Seleccionar o no', Settings: 'Ajustes', 'Share limits': 'Límites de compartir', 'Share limits…': 'Límites de compartir…', Size: 'Tamaño', 'Skip the check': 'Omitir la comprobación', 'Sort by': 'Ordenar por', Speed: 'Velocidad',
  Stalled: 'Estancado', Start: 'Iniciar', State: 'Estado', Status: 'Estado', Stop: 'Detener', Stopped: 'Detenido', Tags: 'Etiquetas', 'Tags…': 'Etiquetas…', Text: 'Texto',
  'The server cannot be reached. Trying again…': 'No se puede contactar con el servidor. Reintentando…', Tier: 'Nivel',
  'Time active': 'Tiempo activo', 'To the top of the queue': 'Al principio de la cola', 'To the torrents': 'Ir a los torrents', Torrents: 'Torrents', Trackers: 'Trackers', URL: 'URL', 'URLs, one a line': 'URL, una por línea', Unreachable: 'Inaccesible', Up: 'Subida',
  'Up for': 'En marcha', 'Up limit': 'Límite de subida', 'Up limit (KiB/s)': 'Límite de subida (KiB/s)', 'Up limit…': 'Límite de subida…', Updating: 'Actualizando', Uploaded: 'Subido', 'User name': 'Usuario', Wanted: 'Deseado', 'Without its folder': 'Sin su carpeta',
  Worker: 'Proceso', Workers: 'Procesos', Working: 'Funciona', 'Wrong user name or password.': 'Usuario o contraseña incorrectos.', critical: 'crítico', failed: 'fallido', 'files; the first 5,000 are shown': 'archivos; se muestran los primeros 5.000', free: 'libres',
  global: 'global', info: 'información', no: 'no', normal: 'normal', 'not a .torrent file': 'no es un archivo .torrent', peers: 'pares', ready: 'listo', restarting: 'reiniciando', running: 'en marcha', starting: 'iniciando', stopped: 'detenido',
  'the workers that read it are restarted': 'se reinician los procesos que la leen', 'the process is ended and started again. Transfers are not lost.': 'el proceso termina y se inicia de nuevo. No se pierden transferencias.', torrents: 'torrents', warning: 'aviso', yes: 'sí',
}

export const languages = { en: 'English', es: 'Español' }
const words = { es: spanish }

export function language() {
  const wanted = localStorage.getItem('language') ?? navigator.language.slice(0, 2)
  return wanted in languages ? wanted : 'en'
}
export function setLanguage(code) { localStorage.setItem('language', code) }

const current = words[language()]

/** `text` in the chosen language. */
export function t(text) { return current?.[text] ?? text }
